package testenv

import (
	"context"
	"fmt"
	"slices"

	"github.com/IBM/sarama"
)

// AddUser makes a user whom SCRAM knows by [KafkaPassword].
func (k *SecureKafka) AddUser(name string) {
	k.t.Helper()
	for _, m := range []sarama.ScramMechanismType{sarama.SCRAM_MECHANISM_SHA_256, sarama.SCRAM_MECHANISM_SHA_512} {
		res, err := k.admin.UpsertUserScramCredentials([]sarama.AlterUserScramCredentialsUpsert{{
			Name: name, Mechanism: m, Iterations: 4096, Salt: []byte("salt of the user"), Password: []byte(KafkaPassword),
		}})
		must(k.t, "store credentials", err)
		if res[0].ErrorCode != sarama.ErrNoError {
			k.t.Fatalf("testenv: store credentials: %v", res[0].ErrorCode)
		}
	}
}

// An Access is the right to do something with a topic or a group.
type Access struct {
	User      string // as the brokers call it: that of SASL, or "CN=name" by a certificate
	Resource  sarama.AclResourceType
	Name      string
	Operation sarama.AclOperation
}

// Allow grants a, and returns when the broker knows.
func (k *SecureKafka) Allow(a Access) {
	k.t.Helper()
	must(k.t, "grant", k.admin.CreateACLs([]*sarama.ResourceAcls{{
		Resource: sarama.Resource{ResourceType: a.Resource, ResourceName: a.Name, ResourcePatternType: sarama.AclPatternLiteral},
		Acls: []*sarama.Acl{{
			Principal: "User:" + a.User, Host: "*", Operation: a.Operation, PermissionType: sarama.AclPermissionAllow,
		}},
	}}))
	k.awaitAccess(a, true)
}

// Revoke takes a back, and returns when the broker knows.
func (k *SecureKafka) Revoke(a Access) {
	k.t.Helper()
	_, err := k.admin.DeleteACL(a.filter(), false)
	must(k.t, "revoke", err)
	k.awaitAccess(a, false)
}

func (a Access) filter() sarama.AclFilter {
	return sarama.AclFilter{
		ResourceType: a.Resource, ResourceName: &a.Name, ResourcePatternTypeFilter: sarama.AclPatternLiteral,
		Principal: new("User:" + a.User), Operation: a.Operation, PermissionType: sarama.AclPermissionAllow,
	}
}

func (k *SecureKafka) awaitAccess(a Access, granted bool) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	must(k.t, "await an access rule", pollErr(ctx, func() error {
		found, err := k.admin.ListAcls(a.filter())
		has := slices.ContainsFunc(found, func(r sarama.ResourceAcls) bool { return len(r.Acls) > 0 })
		if err == nil && has != granted {
			err = fmt.Errorf("the broker has it: %t", has)
		}
		return err
	}))
}
