package filelog

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/dualstream/dualstream/durable"
)

const headerSize = 34 // the position of the head and a line feed

// log is a topic's file, opened: a line with the position of its head, then records. What is before the head is on
// the disk; readers read no further.
type log struct {
	file *os.File
	id   string // of this incarnation of the topic
	end  int64  // the head when it was looked at
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
		return errors.Join(l.commit(), l.commit(), syncDir(l.file.Name(), 2)) // the second one syncs the header
	}
	if err := l.look(); err != nil || size == l.end {
		return err
	}
	if size < l.end {
		return fmt.Errorf("%s has %d bytes and had %d: restore it", l.file.Name(), size, l.end)
	}
	for rec, err := range l.records(l.end, size) {
		if errors.Is(err, errTorn) {
			break
		}
		if err != nil {
			return err
		}
		l.end = rec.to
	}
	return errors.Join(l.file.Truncate(l.end), l.commit())
}

// look reads the head.
func (l *log) look() error {
	text := make([]byte, headerSize)
	if _, err := l.file.ReadAt(text, 0); err != nil {
		return err
	}
	id, at, _ := strings.Cut(strings.TrimSpace(string(text)), "-")
	end, err := strconv.ParseInt(at, 16, 64)
	l.id, l.end = id, end
	return err
}

// write appends lines and returns when they are on the disk; after an error they may be.
func (l *log) write(lines []byte) error {
	head := l.end
	_, err := l.file.WriteAt(lines, head)
	if err == nil {
		l.end += int64(len(lines))
		err = l.commit()
	}
	if err != nil {
		return errors.Join(err, l.file.Truncate(head))
	}
	return nil
}

// commit makes what is written last, and then visible.
func (l *log) commit() error {
	if err := l.file.Sync(); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(l.position(l.end)+"\n"), 0)
	return err
}

// records yields what is stored from one offset to another; an error is the last.
func (l *log) records(from, to int64) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		for r := bufio.NewReader(io.NewSectionReader(l.file, from, to-from)); from < to; {
			rec, err := readRecord(r, from)
			if !yield(rec, err) || err != nil {
				return
			}
			from = rec.to
		}
	}
}

// position names the record that ends at offset to.
func (l *log) position(to int64) durable.Position {
	return durable.Position(fmt.Sprintf("%s-%016x", l.id, to))
}

// offset is where the record behind p begins: the oldest, and ErrPositionExpired, where p is not of this log.
func (l *log) offset(p durable.Position) (int64, error) {
	id, at, _ := strings.Cut(string(p), "-")
	to, err := strconv.ParseInt(at, 16, 64)
	if err != nil || id != l.id || to < headerSize || to > l.end {
		return headerSize, fmt.Errorf("position %q: %w", p, durable.ErrPositionExpired)
	}
	return to, nil
}

// resolve is the offset at which s begins.
func (l *log) resolve(s durable.Start) (int64, error) {
	if p, named := s.Cursor()[0]; named {
		return l.offset(p)
	}
	switch s.Kind() {
	case durable.StartNewest:
		return l.end, nil
	case durable.StartAt:
		return 0, durable.ErrUnsupported
	default:
		return headerSize, nil
	}
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

// syncDir makes the name of a new file last, in so many directories above it.
func syncDir(path string, levels int) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil || levels == 0 {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close(), syncDir(filepath.Dir(path), levels-1))
}
