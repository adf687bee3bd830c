// Package exampletest counts what a user calls first and has no Example.
package exampletest
