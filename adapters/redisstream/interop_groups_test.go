package redisstream

import (
	"slices"
	"strconv"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// halfDone makes a group of other programs in a new stream: of six entries, three are acknowledged and one is pending.
func halfDone(t *testing.T, c *redis.Client, stream, group string, entry func(n string) []any) {
	t.Helper()
	ctx := soon(t)
	if err := c.XGroupCreateMkStream(ctx, stream, group, "0").Err(); err != nil {
		t.Fatal(err)
	}
	for n := range 6 {
		if err := c.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: entry(strconv.Itoa(n))}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	read, err := c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: "theirs", Streams: []string{stream, ">"}, Count: 4}).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range read[0].Messages[:3] {
		if err := c.XAck(ctx, stream, group, e.ID).Err(); err != nil {
			t.Fatal(err)
		}
	}
	abandoned := []any{"XCLAIM", stream, group, "theirs", 0, read[0].Messages[3].ID, "IDLE", (2 * defaultClaimIdle).Milliseconds(), "JUSTID"}
	if err := c.Do(ctx, abandoned...).Err(); err != nil { // long ago
		t.Fatal(err)
	}
}

// wantRest has our member process what is left of halfDone, nothing again and nothing lost.
func wantRest(t *testing.T, b *Backend, topic, group string) {
	t.Helper()
	c := join(t, b, durable.Group{Name: group, Topics: durable.Topics(topic), Ordering: durable.None})
	ds := fetch(t, c, 3)
	var got []string
	for _, d := range ds {
		if d.DecodeErr != nil {
			t.Errorf("got %v", d.DecodeErr)
		}
		got = append(got, d.Message.UUID)
	}
	if slices.Sort(got); !slices.Equal(got, []string{"3", "4", "5"}) {
		t.Errorf("processed %v, want 3, which was pending, and 4 and 5", got)
	}
	if err := c.Ack(soon(t), ds...); err != nil {
		t.Error(err)
	}
	if err := c.Close(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestAGroupOfAHandWrittenLoopGoesOnHereAndBack(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	c := client(t, addr)
	halfDone(t, c, topic, "loop", func(n string) []any { return []any{"ticketID", n} })
	wantRest(t, open(t, Config{Connection: Connection{Addr: addr}, Marshaller: fields{}}), topic, "loop")
	if err := c.XAdd(soon(t), &redis.XAddArgs{Stream: topic, Values: []any{"ticketID", "6"}}).Err(); err != nil {
		t.Fatal(err)
	}
	read, err := c.XReadGroup(soon(t), &redis.XReadGroupArgs{Group: "loop", Consumer: "theirs", Streams: []string{topic, ">"}}).Result()
	if err != nil || len(read[0].Messages) != 1 || read[0].Messages[0].Values["ticketID"] != "6" {
		t.Errorf("the loop reads %v, %v, want 6 alone", read, err)
	}
	if p, err := c.XPending(soon(t), topic, "loop").Result(); err != nil || p.Count != 1 {
		t.Errorf("pending %+v, %v, want what the loop has just read", p, err)
	}
}

// pulse is the layout of Pulse's streams: the event's name and its payload.
type pulse struct{}

func (pulse) Marshal(_ string, msg *message.Message) (map[string]any, error) {
	return map[string]any{"n": msg.Metadata.Get(durable.MetaType), "p": string(msg.Payload)}, nil
}

func (pulse) Unmarshal(values map[string]any) (*message.Message, error) {
	payload, _ := values["p"].(string)
	name, _ := values["n"].(string)
	msg := message.NewMessage(payload, []byte(payload))
	msg.Metadata.Set(durable.MetaType, name)
	return msg, nil
}

// A stream of Pulse has a key that is no name of a topic; renamed, it keeps its sinks' positions.
func TestASinkOfPulseGoesOnHereUnderATopicsName(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "orders")
	c := client(t, addr)
	halfDone(t, c, "pulse:stream:"+topic, "sink", func(n string) []any { return []any{"n", "order.created", "p", n} })
	if err := c.Rename(soon(t), "pulse:stream:"+topic, topic).Err(); err != nil {
		t.Fatal(err)
	}
	wantRest(t, open(t, Config{Connection: Connection{Addr: addr}, Marshaller: pulse{}}), topic, "sink")
}
