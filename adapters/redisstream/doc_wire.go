// # On the wire
//
// An entry as redis-cli shows it: the UUID, the metadata as a msgpack map (of an event: its CloudEvents attributes and
// what the application added), and the payload as it is.
//
//	$ redis-cli XRANGE orders - +
//	1) 1) "1712345678901-0"
//	   2) 1) "_watermill_message_uuid"
//	      2) "0190a5f2-6c6b-7c1e-9a55-3c1f3d0a7b10"
//	      3) "metadata"
//	      4) "\x81\xafce_partitionkey\xa242"
//	      5) "payload"
//	      6) "{\"total\":99}"
package redisstream
