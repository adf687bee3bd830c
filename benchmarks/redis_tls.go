package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/internal/testenv"
)

// secureRedis demands TLS and certificates of its clients.
func (l *lab) secureRedis() (*testenv.RedisServer, error) {
	if l.secure != nil {
		return l.secure, nil
	}
	err := l.tb.try(func() {
		l.files = testenv.NewCertificates(l.tb)
		l.secure = testenv.StartRedis(l.tb, testenv.RedisOptions{
			TLS: &l.files, Settings: []string{"--auto-aof-rewrite-percentage", "0"},
		})
	})
	return l.secure, err
}

// newTLSLab is newRedisLab over TLS, with what the adapter needs for the same.
func newTLSLab(l *lab) (*redisLab, redisstream.Connection, error) {
	server, err := l.secureRedis()
	if err != nil {
		return nil, redisstream.Connection{}, err
	}
	secure, err := clientTLS(l.files)
	if err != nil {
		return nil, redisstream.Connection{}, err
	}
	c := redis.NewClient(&redis.Options{
		Addr: server.TLSAddr(), MaxRetries: -1, PoolSize: 80, TLSConfig: secure.Clone(),
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	l.after(c.Close)
	return &redisLab{Client: c, l: l, pool: newPool()}, redisstream.Connection{Addr: server.TLSAddr(), TLS: secure}, nil
}

func clientTLS(files testenv.Certificates) (*tls.Config, error) {
	ca, err := os.ReadFile(files.CAFile)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(ca) {
		return nil, errors.New("no certificate of an authority")
	}
	own, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	c.Certificates = []tls.Certificate{own}
	return c, err
}

func rawRedisTLS(_ context.Context, l *lab) (store, appendFunc, error) {
	r, _, err := newTLSLab(l)
	if err != nil {
		return nil, nil, err
	}
	return r.rawAppends()
}

func oursRedisTLS(ctx context.Context, l *lab) (store, appendFunc, error) {
	r, b, err := openRedisTLS(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	return r, oursAppend(b, r.pool), nil
}

// openRedisTLS is openRedis over TLS.
func openRedisTLS(ctx context.Context, l *lab) (*redisLab, *redisstream.Backend, error) {
	r, conn, err := newTLSLab(l)
	if err != nil {
		return nil, nil, err
	}
	b, err := redisstream.Open(ctx, redisstream.Config{Connection: conn})
	if err != nil {
		return nil, nil, err
	}
	l.after(func() error { return b.Close(context.Background()) })
	return r, b, nil
}

func rawRedisTLSConsumer(_ context.Context, l *lab) (source, consumer, error) {
	r, _, err := newTLSLab(l)
	if err != nil {
		return nil, nil, err
	}
	return r, r.rawConsume, nil
}

func oursRedisTLSConsumer(ctx context.Context, l *lab) (source, consumer, error) {
	r, b, err := openRedisTLS(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	return r, competing(b), nil
}
