// Package memory is the embedded adapter: both sides of dualstream in the memory of one process, with the semantics
// of a broker. It is the default of examples and tests, and what a program uses until it needs a broker.
//
//	backend, err := memory.New(memory.Config{Partitions: 8})
//	if err != nil {
//		return err
//	}
//	defer backend.Close(ctx)
//	_, err = backend.Append(ctx, "orders", msg)
//
// Nothing survives the process; several backends may share one Store within it.
package memory
