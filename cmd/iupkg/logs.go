// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs [NAME…]",
		Short: "What extensions and their runtime wrote to the kernel's log",
		Long: "Show what extensions, or the named ones, and their runtime wrote to the kernel's log\n" +
			"(/dev/kmsg), as far back as the kernel remembers. Of a fault of what is installed, the\n" +
			"lines in its source are shown, if the package has debug data.",
		GroupID: groupPackages,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) error {
			if follow && a.ui.json {
				return usagef("--follow and --json exclude each other")
			}
			return a.logs(cmd.Context(), names, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on, until interrupted")
	return cmd
}

// logLine is one line of the runtime's in the kernel's log. The runtime writes
// "iu: NAME/PROGRAM: TEXT" for a program, "iu: NAME VERSION: TEXT" of an
// extension, and "iu: TEXT" of itself.
type logLine struct {
	Time    time.Time `json:"time"`
	Level   string    `json:"level"`
	Name    string    `json:"name,omitempty"`
	Program string    `json:"program,omitempty"`
	Text    string    `json:"text"`
	// Source has the places of a fault, the innermost first.
	Source []string `json:"source,omitempty"`
}

var logLevels = []string{"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"}

// parseRecord reads a record of /dev/kmsg
// (https://docs.kernel.org/admin-guide/abi-testing.html, dev-kmsg):
// "LEVEL,SEQUENCE,MICROSECONDS,FLAGS[,…];TEXT\n[ KEY=VALUE\n…]". Those of others
// than the runtime are not ok. boot is when the kernel's clock was zero.
func parseRecord(record []byte, boot time.Time) (l logLine, ok bool) {
	prefix, rest, found := bytes.Cut(record, []byte(";"))
	text, _, _ := bytes.Cut(rest, []byte("\n"))
	fields := strings.Split(string(prefix), ",")
	if !found || len(fields) < 3 {
		return l, false
	}
	priority, err := strconv.ParseUint(fields[0], 10, 16)
	micros, err2 := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || err2 != nil {
		return l, false
	}
	l.Text, ok = strings.CutPrefix(string(text), "iu: ")
	l.Level, l.Time = logLevels[priority%8], boot.Add(time.Duration(micros)*time.Microsecond)
	who, what, hasWho := strings.Cut(l.Text, ": ")
	if name, program, ofProgram := strings.Cut(who, "/"); hasWho && ofProgram && !strings.Contains(who, " ") {
		l.Name, l.Program, l.Text = name, program, what
	} else if name, version, ofExt := strings.Cut(who, " "); hasWho && ofExt && version != "" && version[0] >= '0' && version[0] <= '9' && !strings.Contains(version, " ") {
		l.Name, l.Text = name, version+": "+what
	}
	return l, ok
}

func (l *logLine) write(w io.Writer) {
	who := "iu"
	if l.Name != "" {
		who = strings.TrimSuffix(l.Name+"/"+l.Program, "/")
	}
	fmt.Fprintf(w, "%s %-7s %s: %s\n", l.Time.Local().Format("2006-01-02 15:04:05.000"), l.Level, who, l.Text)
	for i, at := range l.Source {
		fmt.Fprintf(w, "%*s%s %s\n", 24, "", map[bool]string{true: "at", false: "called at"}[i == 0], at)
	}
}

func (a *app) logs(ctx context.Context, names []string, follow bool) error {
	log, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	lines, shown, source := []logLine{}, false, a.newSources()
	for ctx.Err() == nil {
		record, err := nextRecord(log)
		switch {
		case errors.Is(err, unix.EPIPE): // overtaken by the ring
			a.ui.warn("lines were overwritten before they could be read")
			continue
		case err != nil:
			return err
		case record == nil && !follow:
			return a.ui.answer(lines, func(io.Writer) {
				if !shown {
					a.ui.step("the kernel's log has nothing of this")
				}
			})
		case record == nil:
			if err := waitFor(ctx, log); err != nil {
				return err
			}
			continue
		}
		// The kernel's clock may stand still in a suspended machine: by today's offset.
		l, ok := parseRecord(record, time.Now().Add(-monotonic()))
		if ok {
			source.loaded(&l)
			l.Source = source.ofLine(&l)
		}
		if !ok || len(names) > 0 && !slices.Contains(names, l.Name) {
			continue
		}
		shown = true
		if a.ui.json {
			lines = append(lines, l)
		} else {
			l.write(printableWriter{a.ui.out})
		}
	}
	return nil
}

// nextRecord reads one record; nil: there is none yet.
func nextRecord(log *os.File) ([]byte, error) {
	buf := make([]byte, 8192) // more than the kernel's longest
	raw, err := log.SyscallConn()
	if err != nil {
		return nil, err
	}
	var n int
	var rerr error
	if err := raw.Control(func(fd uintptr) { n, rerr = unix.Read(int(fd), buf) }); err != nil {
		return nil, err
	}
	if errors.Is(rerr, unix.EAGAIN) || errors.Is(rerr, unix.EINTR) {
		return nil, nil
	}
	if rerr != nil {
		return nil, &os.PathError{Op: "read", Path: log.Name(), Err: rerr}
	}
	return buf[:n], nil
}

// waitFor returns when there may be another record.
func waitFor(ctx context.Context, log *os.File) error {
	raw, err := log.SyscallConn()
	if err != nil {
		return err
	}
	var perr error
	err = raw.Control(func(fd uintptr) {
		_, perr = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 200)
	})
	if errors.Is(perr, unix.EINTR) || ctx.Err() != nil {
		perr = nil
	}
	return errors.Join(err, perr)
}
