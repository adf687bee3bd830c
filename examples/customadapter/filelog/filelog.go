// Package filelog is a durable backend on the files of one machine, for any number of its processes: a log per topic
// and a file per group. It needs a Unix, whose file locks end with the process that holds them.
package filelog

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

const (
	poll       = 2 * time.Millisecond // between two looks at what other processes do
	headerSize = 34                   // of a log: its id, its head and a line feed
)

// Settings are the keys of the section durable.filelog of a configuration file.
type Settings struct {
	Dir string `yaml:"dir"` // where the files are; it is made. Required
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	if s.Dir == "" {
		return durable.Invalid("dir", "", "name a directory")
	}
	return nil
}

// Backend implements durable.Backend.
type Backend struct {
	dir  string
	gate *adapterkit.Gate // of consumers
}

var _ durable.Backend = (*Backend)(nil)

// Open makes the directory, whose parent has to exist.
func Open(s Settings) (*Backend, error) {
	b := &Backend{s.Dir, adapterkit.NewGate()}
	return b, errors.Join(s.Check(), os.MkdirAll(s.Dir, 0o750), syncDir(filepath.Dir(s.Dir)))
}

// Capabilities implements durable.Backend.
func (b *Backend) Capabilities() durable.Capabilities {
	return durable.Capabilities{
		Backend: "filelog", Ack: durable.AckThrough, Groups: true, OrderedGroup: true, Replay: true, ReplayFollow: true,
	}
}

// Append implements durable.Backend: all of msgs are one write and one sync.
func (b *Backend) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	return b.gate.Append(ctx, "filelog", topic, 0, msgs, func() ([]durable.Position, error) {
		l, err := b.open(ctx, topic)
		if err != nil {
			return nil, err
		}
		defer l.Close()
		var lines []byte
		ps := make([]durable.Position, len(msgs))
		for i, msg := range msgs {
			ps[i] = l.position(l.end + int64(len(lines)))
			if lines, err = appendRecord(lines, msg); err != nil {
				return nil, durable.FailInvalid(topic, len(msgs), i, err)
			}
		}
		if err := l.append(lines); err != nil {
			return nil, durable.FailAll(topic, len(msgs), durable.Unknown, fmt.Errorf("%w: %w", durable.ErrUnavailable, err))
		}
		return ps, nil
	})
}

// Replay implements durable.Backend.
func (b *Backend) Replay(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
	return adapterkit.Replay(ctx, "filelog", b.gate, topic, r, poll, func() (adapterkit.ReadCloser, error) {
		l, err := b.open(ctx, topic)
		if err != nil {
			return nil, err
		}
		return l, unlock(l.file)
	})
}

// Consume implements durable.Backend.
func (b *Backend) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	return adapterkit.NewStandby(ctx, "filelog", b.gate, g, poll, func(topic string) (adapterkit.Place, error) {
		l, err := b.open(ctx, topic)
		if err != nil {
			return nil, err
		}
		file, err := b.file(topic + "@" + g.Name)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		return &place{log: l, group: file}, nil
	})
}

// Close implements durable.Backend.
func (b *Backend) Close(ctx context.Context) error { return b.gate.Close(ctx) }

// place implements adapterkit.Place: who holds the lock of the group's file works.
type place struct {
	*log
	group *os.File // a line: the log's id, the offset through which the group has acknowledged, and the epoch
	epoch int64
}

// Enter implements adapterkit.Place. The log is locked until it returns.
func (p *place) Enter(start func() (int64, error)) error {
	info, err := p.group.Stat()
	if err == nil && info.Size() == 0 {
		var at int64
		if at, err = start(); err == nil {
			err = errors.Join(p.Store(at), p.group.Sync(), syncDir(filepath.Dir(p.group.Name())))
		}
	}
	return errors.Join(err, unlock(p.file))
}

// Hold implements adapterkit.Place.
func (p *place) Hold() (at, epoch int64, ok bool, err error) {
	if ok, err = tryLock(p.group); err != nil || !ok {
		return 0, 0, false, err
	}
	var id string
	_, err = fmt.Fscanf(io.NewSectionReader(p.group, 0, 64), "%s %x %x\n", &id, &at, &p.epoch)
	if err = errors.Join(err, p.Look()); err == nil && (id != p.id || at > p.end) {
		at, err = headerSize, fmt.Errorf("the log is another one: %w", durable.ErrPositionExpired)
	}
	p.epoch++
	return at, p.epoch, true, err
}

// Store implements adapterkit.Place.
func (p *place) Store(through int64) error {
	_, err := p.group.WriteAt(fmt.Appendf(nil, "%s %016x %016x\n", p.id, through, p.epoch), 0)
	return err
}

// Close implements adapterkit.Place.
func (p *place) Close() error {
	return errors.Join(p.group.Sync(), p.group.Close(), p.log.Close())
}

// appendRecord appends to dst what is stored of msg: a line of JSON behind its checksum, "cbf43926 {…}".
func appendRecord(dst []byte, msg *message.Message) ([]byte, error) {
	text, err := adapterkit.MarshalMessage(msg, time.Now())
	return fmt.Appendf(dst, "%08x %s\n", crc32.ChecksumIEEE(text), text), err
}

// log is a topic's file, opened: a line with its id and head, then records. What is before the head is on the disk;
// readers read no further. It implements adapterkit.Reader.
type log struct {
	topic, id string // id of this incarnation of the topic
	file      *os.File
	end       int64 // the head when it was looked at
}

// open opens topic's log, repaired and locked; closing its file unlocks it.
func (b *Backend) open(ctx context.Context, topic string) (*log, error) {
	if err := durable.CheckTopic(topic); err != nil {
		return nil, err
	}
	file, err := b.file(topic + ".log")
	if err != nil {
		return nil, err
	}
	l := &log{topic: topic, file: file}
	err = adapterkit.Until(ctx, b.gate.Done(), time.Tick(poll), func() (bool, error) { return tryLock(file) })
	if err == nil {
		err = l.repair()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

// repair looks at the head after others wrote or crashed: what is behind it is whole and stays, or torn and is cut.
// The caller holds the lock of the file, as for every writing.
func (l *log) repair() error {
	size, err := l.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size < headerSize {
		l.id, l.end = rand.Text()[:16], headerSize
		return errors.Join(l.append(nil), l.file.Sync(), syncDir(filepath.Dir(l.file.Name())))
	}
	if err := l.Look(); err != nil || size == l.end {
		return err
	}
	if size < l.end {
		return fmt.Errorf("%s has %d bytes and had %d: restore it", l.file.Name(), size, l.end)
	}
	for err == nil && l.end < size {
		_, l.end, err = l.Read(l.end)
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return errors.Join(l.file.Truncate(l.end), l.append(nil))
}

// append writes lines, makes what is written last, and then visible. After an error it may be stored.
func (l *log) append(lines []byte) error {
	_, err := l.file.WriteAt(lines, l.end)
	if err = errors.Join(err, l.file.Sync()); err != nil {
		return err
	}
	l.end += int64(len(lines))
	_, err = l.file.WriteAt(fmt.Appendf(nil, "%s %016x\n", l.id, l.end), 0)
	return err
}

// Look reads the head.
func (l *log) Look() error {
	_, err := fmt.Fscanf(io.NewSectionReader(l.file, 0, headerSize), "%s %x\n", &l.id, &l.end)
	return err
}

// Close ends the lock, too.
func (l *log) Close() error { return l.file.Close() }

// Bounds are the first record and the head.
func (l *log) Bounds() (oldest, end int64) { return headerSize, l.end }

// Read is the record at offset from, and where the next one begins: at from itself where the error is io.ErrUnexpectedEOF.
func (l *log) Read(from int64) (durable.Record, int64, error) {
	line, err := bufio.NewReader(io.NewSectionReader(l.file, from, math.MaxInt64-from)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return durable.Record{}, from, err
	}
	sum, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	if err != nil || sum != fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text))) {
		return durable.Record{}, from, fmt.Errorf("offset %d of %s: %w", from, l.file.Name(), io.ErrUnexpectedEOF)
	}
	rec := adapterkit.UnmarshalRecord([]byte(text))
	rec.Topic, rec.Position = l.topic, l.position(from)
	return rec, from + int64(len(line)), nil
}

// position names the record at offset from.
func (l *log) position(from int64) durable.Position {
	return durable.Position(adapterkit.AppendPosition(nil, 0, from, l.id))
}

// Behind is the offset behind the record at p, beyond the head where that is.
func (l *log) Behind(p durable.Position) (int64, error) {
	at, err := adapterkit.OffsetOf(p, 0, l.id)
	if err != nil || at >= l.end {
		return at + 1, err
	}
	_, next, err := l.Read(at)
	return next, err
}

// file opens a file of the directory, which is made if it does not exist.
func (b *Backend) file(name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(b.dir, name), os.O_RDWR|os.O_CREATE, 0o640)
}

// syncDir makes the names of new files last.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// tryLock takes the lock of f, which ends with f or with the process. It does not wait.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
