// Package testenv gives tests real servers: Redis and Apache Kafka.
//
// Two kinds of servers are offered:
//
//   - Shared: [Redis] and [Kafka]. One server of each kind serves every test process of the user on this machine.
//     The first user starts it, a watchdog ends it a minute after the last one, whatever became of the users
//     (kill -9 included). Tests keep apart by unique names, see [Name], and never flush, stop or reconfigure it.
//   - Private: [StartRedis], [StartSentinel], [StartRedisCluster], [StartKafka]. They belong to one test, which may
//     kill, freeze, restart or cut them off. They end with the test, or with its process if that is killed.
//
// What is missing is fetched into the user's cache directory, once: redis-server from Debian's packages, unpacked
// beside the system without root, and the jars of Kafka from Maven Central, with pinned SHA-256 sums. Java is
// installed where apt-get may. Otherwise a missing server is a failure of the test that says what to install. Nothing
// is ever skipped.
//
// The environment changes where servers come from:
//
//	DUALSTREAM_TEST_REDIS     host:port of a running Redis 7 to use as the shared one
//	DUALSTREAM_TEST_KAFKA     host:port,host:port of a running Kafka to use as the shared one
//	DUALSTREAM_MAVEN_REPO     URL of the Maven repository; defaults to the mirror in ~/.m2/settings.xml, else Maven
//	                          Central. Proxies: those of settings.xml, else HTTPS_PROXY and its like
//	DUALSTREAM_TESTENV_DIR    directory of the shared servers; defaults to one per user in os.TempDir()
//	DUALSTREAM_TESTENV_LINGER how long an unused shared server stays; defaults to 60s
package testenv
