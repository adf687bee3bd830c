package dual

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/dualstream/dualstream/durable"
)

const defaultOpenTimeout = 15 * time.Second

// Open opens the backends that cfg names, creates its topics and assembles them. It takes at most cfg.OpenTimeout.
// Options that the file does not hold (wrappers, TopicOf, Channels, Key, Logger) are set by with. After an error
// everything that was opened is closed again; the error is a *[ConfigError] that names the setting, or joins those of
// all settings that Check refuses (see [Problems]).
func Open(ctx context.Context, cfg *Config, openers Openers, with ...func(*Options)) (*Stack, error) {
	sections := settle(cfg, openers)
	if err := sections.bad.err(); err != nil {
		return nil, err
	}
	opts := cfg.options()
	for _, f := range with {
		f(&opts)
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	timeout := cfg.OpenTimeout
	if timeout == 0 {
		timeout = defaultOpenTimeout
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := &Stack{cfg: cfg, Process: cfg.processOptions(opts.Logger)}
	if err := s.open(bounded, openers, sections, opts); err != nil {
		closing, done := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
		defer done()
		return nil, errors.Join(err, s.Close(closing))
	}
	return s, nil
}

func (s *Stack) open(ctx context.Context, openers Openers, sections settled, opts Options) error {
	deps := Deps{Logger: opts.Logger}
	var err error
	if s.Durable, err = openers.Durable[s.cfg.Durable].Open(ctx, sections.durable[s.cfg.Durable], deps); err != nil {
		s.Durable = nil
		return blame(s.cfg.durable, s.cfg.Durable, err)
	}
	if err := s.createTopics(ctx); err != nil {
		return err
	}
	if s.cfg.Realtime != "" {
		if s.Realtime, err = openers.Realtime[s.cfg.Realtime].Open(ctx, sections.realtime[s.cfg.Realtime], deps); err != nil {
			s.Realtime = nil
			return blame(s.cfg.realtime, s.cfg.Realtime, err)
		}
	}
	if err := s.openPolicies(ctx, sections.policies, &opts); err != nil {
		return err
	}
	if s.Publisher, err = New(s.Durable, s.Realtime, opts); err != nil {
		return err
	}
	s.Durable = s.consumed()
	for _, p := range s.policies {
		if p.Opened != nil {
			p.Opened(s)
		}
	}
	return nil
}

// blame names the setting that an opener could not work with, and its value where that is no secret.
func blame(side *node, name string, err error) error {
	section := side.get(name)
	if section == nil {
		section = &node{file: side.file, line: side.line, path: join(side.path, name)}
	}
	out := section.fail("cannot open: "+err.Error(), "")
	out.Err = err
	var setting *SettingError
	if !errors.As(err, &setting) {
		return out
	}
	at := place(section, setting.Setting)
	out.Line, out.Path, out.Problem = at.line, at.path, "cannot open: "+setting.Err.Error()
	if at.kind != nodeNull && !hidden(at.path) {
		out.Problem = "cannot open with " + strconv.Quote(shown(at)) + ": " + setting.Err.Error()
	}
	return out
}

// createTopics creates the topics of the file that do not exist.
func (s *Stack) createTopics(ctx context.Context) error {
	topics := s.cfg.root.get("topics")
	if topics == nil || len(topics.entries) == 0 {
		return nil
	}
	admin, ok := s.Durable.(durable.Administrator)
	if !ok {
		return topics.fail("backend "+s.cfg.Durable+" creates no topics", "remove the section and create them with its own tools")
	}
	for _, e := range topics.entries {
		t, wanted := s.cfg.Topics[e.key]
		if !wanted {
			continue // the program took it out of the Config
		}
		err := admin.CreateTopic(ctx, durable.TopicSpec{
			Name: e.key, Partitions: t.Partitions, Replication: t.Replication, Retention: t.Retention, MaxLen: t.MaxLen,
		})
		if err == nil {
			continue
		}
		return &ConfigError{
			File: topics.file, Line: e.line, Path: e.value.path, Err: err,
			Problem: "cannot create: " + err.Error(), Remedy: topicRemedy(err),
		}
	}
	return nil
}

func topicRemedy(err error) string {
	if errors.Is(err, durable.ErrTopicExists) {
		return "write the number of partitions that it has, or use another name"
	}
	return ""
}
