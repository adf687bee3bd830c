package redisstream

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// TestAClusterIsUsedOverTLSByAUserOfItsACL appends to all masters and consumes, by the settings of a file.
func TestAClusterIsUsedOverTLSByAUserOfItsACL(t *testing.T) {
	t.Parallel()
	certs := testenv.NewCertificates(t)
	var addrs []string
	testenv.StartRedisClusterWith(t, testenv.ClusterOptions{
		Redis: testenv.RedisOptions{TLS: &certs, Settings: []string{"--tls-cluster", "yes"}},
		Arm: func(ns []*testenv.RedisServer) {
			for _, n := range ns {
				addrs = append(addrs, n.TLSAddr())
				if err := n.Client().Do(t.Context(), "acl", "setuser", "app", "on", ">secret", "~*", "&*", "+@all").Err(); err != nil {
					t.Fatal(err)
				}
			}
		},
	})
	s := Defaults()
	s.Addr, s.Username, s.Password, s.Cluster.Addrs = "", "app", "secret", addrs[:1]
	s.TLS = settings.TLS{Enabled: true, CAFile: certs.CAFile, CertFile: certs.CertFile, KeyFile: certs.KeyFile}
	cfg, err := s.Config(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, ordering := range map[string]durable.Ordering{"competing": durable.None, "ordered": durable.PerKey} {
		t.Run(name, func(t *testing.T) {
			b, topic := open(t, cfg), testenv.Name(t, "t")
			must(t, b.CreateTopic(soon(t), durable.TopicSpec{Name: topic, Partitions: 12}))
			msgs := make([]*message.Message, 48)
			for i := range msgs {
				msgs[i] = message.NewMessage(durable.NewID(), nil)
			}
			if _, err := b.Append(soon(t), topic, msgs...); err != nil {
				t.Fatal(err)
			}
			c, err := b.Consume(soon(t), durable.Group{Name: "g", Member: "m", Topics: durable.Topics(topic), Ordering: ordering})
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; n < len(msgs); {
				ds, err := c.Fetch(soon(t), 10)
				if err != nil {
					t.Fatal(err)
				}
				must(t, c.Ack(soon(t), ds...))
				n += len(ds)
			}
			must(t, c.Close(soon(t)))
		})
	}
}
