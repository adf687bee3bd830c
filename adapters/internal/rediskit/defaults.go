package rediskit

// Defaults are the settings of an empty section.
func Defaults() Settings {
	return Settings{DialTimeout: defaultDialTimeout, Timeout: defaultTimeout}
}
