// Package schematests holds the JSON Schema of configuration files against a validator. It is a module of its own, so
// that the validator does not enter that of the project.
package schematests
