// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrBusy means that another process holds the store for writing.
var ErrBusy = errors.New("another transaction holds the store")

// A Lock is the right to change a root directory. It ends with Unlock or with
// the process.
type Lock struct {
	root *Root
	f    *os.File
}

// Lock makes this process the one writer, or fails with an error that wraps
// ErrBusy and names the holder. It never waits. What an earlier writer left
// half done must be undone with Recover before anything else is changed;
// Begin does that.
func (r *Root) Lock() (*Lock, error) {
	if err := r.create(); err != nil {
		return nil, err
	}
	path := filepath.Join(r.dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		buf := make([]byte, 32)
		n, _ := f.ReadAt(buf, 0)
		if pid := strings.TrimSpace(string(buf[:n])); pid != "" {
			return nil, fmt.Errorf("%w (process %s holds %s)", ErrBusy, pid, path)
		}
		return nil, fmt.Errorf("%w (%s)", ErrBusy, path)
	}
	// For the message of whoever comes second only, so neither synced nor checked.
	f.Truncate(0)
	f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return &Lock{root: r, f: f}, nil
}

// Unlock gives the right up.
func (l *Lock) Unlock() error {
	l.f.Truncate(0)
	return l.f.Close()
}
