// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelLog reads what the kernel logs from a moment on, to say in its own
// words why it refused something.
type kernelLog struct{ fd int }

func openKernelLog() *kernelLog {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		if _, err = unix.Seek(fd, 0, os.SEEK_END); err == nil {
			return &kernelLog{fd}
		}
		unix.Close(fd)
	}
	return &kernelLog{-1}
}

// about returns the last new line that starts with a name and a colon, without
// them; empty if there is none.
func (l *kernelLog) about(name string) string {
	found := ""
	buf := make([]byte, 8192)
	for range 1000 {
		if l.fd < 0 {
			break
		}
		n, err := unix.Read(l.fd, buf)
		if err == unix.EPIPE { // overtaken by the ring
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		// "level,sequence,microseconds,flags;text\n key=value…"
		_, text, _ := strings.Cut(string(buf[:n]), ";")
		text, _, _ = strings.Cut(text, "\n")
		if rest, ok := strings.CutPrefix(text, name+": "); ok {
			found = rest
		}
	}
	return found
}

func (l *kernelLog) close() {
	if l.fd >= 0 {
		unix.Close(l.fd)
	}
}
