// # On the wire
//
// A notification as redis-cli shows it: the payload is one flat JSON object without the fields that are empty.
//
//	$ redis-cli SUBSCRIBE events:order:42
//	1) "subscribe"
//	2) "events:order:42"
//	3) (integer) 1
//	1) "message"
//	2) "events:order:42"
//	3) "{\"id\":\"0190a5f2-6c6b-7c1e-9a55-3c1f3d0a7b10\",\"type\":\"order.created\",\"source_type\":\"order\",\"source_id\":\"42\",\"time\":\"2024-07-10T09:30:00Z\",\"topic\":\"orders\",\"position\":\"1720603800000-0\"}"
package redispubsub
