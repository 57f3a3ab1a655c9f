// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/iupkg/iupkg/kernel/vm/wire"
	"golang.org/x/sys/unix"
)

// server runs commands for the host.
type server struct {
	out sync.Mutex // guards writes to port
	// port is shared by all commands: the host always reads, so a write waits only for the transport.
	port io.ReadWriter

	mu   sync.Mutex // guards cmds
	cmds map[uint32]*command
}

type command struct {
	cmd   *exec.Cmd
	stdin *queue // nil for /dev/null
}

func serve(port *os.File) {
	unix.CloseOnExec(int(port.Fd()))
	s := &server{port: port, cmds: map[uint32]*command{}}
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	if err := s.sendJSON(wire.KindHello, 0, wire.Hello{Release: unix.ByteSliceToString(uts.Release[:])}); err != nil {
		fmt.Fprintf(os.Stderr, "<3>iupkg-vm: %v\n", err)
		os.Exit(1)
	}
	for {
		f, err := wire.Read(port)
		if errors.Is(err, io.EOF) {
			return // the host has hung up
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "<3>iupkg-vm: %v\n", err)
			os.Exit(1)
		}
		s.handle(f)
	}
}

func (s *server) send(f wire.Frame) error {
	s.out.Lock()
	defer s.out.Unlock()
	return wire.Write(s.port, f)
}

func (s *server) sendJSON(kind wire.Kind, id uint32, v any) error {
	s.out.Lock()
	defer s.out.Unlock()
	return wire.WriteJSON(s.port, kind, id, v)
}

func (s *server) handle(f wire.Frame) {
	switch f.Kind {
	case wire.KindExec:
		var e wire.Exec
		if err := json.Unmarshal(f.Payload, &e); err != nil || len(e.Argv) == 0 {
			_ = s.sendJSON(wire.KindExit, f.ID, wire.Exit{Code: 127, Error: "bad request"})
			return
		}
		s.start(f.ID, e)
	case wire.KindStdin:
		s.mu.Lock()
		c := s.cmds[f.ID]
		s.mu.Unlock()
		if c != nil && c.stdin != nil {
			c.stdin.put(f.Payload)
		}
	case wire.KindSignal:
		s.mu.Lock()
		c := s.cmds[f.ID]
		s.mu.Unlock()
		if c != nil && len(f.Payload) == 1 {
			_ = syscall.Kill(-c.cmd.Process.Pid, syscall.Signal(f.Payload[0]))
		}
	case wire.KindKmsg:
		go s.kmsg(f.ID)
	case wire.KindPing:
		_ = s.send(wire.Frame{Kind: wire.KindPong})
	}
}

func (s *server) start(id uint32, e wire.Exec) {
	cmd := exec.Command(e.Argv[0], e.Argv[1:]...)
	cmd.Env = append(os.Environ(), e.Env...)
	cmd.Dir = e.Dir
	cmd.Stdout = &stream{s, wire.KindStdout, id}
	cmd.Stderr = &stream{s, wire.KindStderr, id}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A daemon that keeps the command's output open must not keep the command from ending.
	cmd.WaitDelay = time.Second
	c := &command{cmd: cmd}
	var in io.WriteCloser
	if e.Stdin {
		var err error
		if in, err = cmd.StdinPipe(); err != nil {
			_ = s.sendJSON(wire.KindExit, id, wire.Exit{Code: 127, Error: err.Error()})
			return
		}
		c.stdin = newQueue()
	}
	if err := cmd.Start(); err != nil {
		_ = s.sendJSON(wire.KindExit, id, wire.Exit{Code: 127, Error: err.Error()})
		return
	}
	s.mu.Lock()
	s.cmds[id] = c
	s.mu.Unlock()
	if c.stdin != nil {
		go c.stdin.feed(in)
	}
	go func() {
		err := cmd.Wait()
		s.mu.Lock()
		delete(s.cmds, id)
		s.mu.Unlock()
		if c.stdin != nil {
			c.stdin.put(nil)
		}
		_ = s.sendJSON(wire.KindExit, id, exitOf(cmd, err))
	}()
}

// queue holds a command's input. It has no bound: a command that does not read must not hold up the others, and the host
// only sends what its caller has in memory.
type queue struct {
	mu     sync.Mutex // guards frames
	frames [][]byte
	more   *sync.Cond
}

func newQueue() *queue {
	q := &queue{}
	q.more = sync.NewCond(&q.mu)
	return q
}

func (q *queue) put(b []byte) {
	q.mu.Lock()
	q.frames = append(q.frames, b)
	q.mu.Unlock()
	q.more.Signal()
}

// feed writes the frames to w until an empty one, which closes it.
func (q *queue) feed(w io.WriteCloser) {
	defer w.Close()
	for {
		q.mu.Lock()
		for len(q.frames) == 0 {
			q.more.Wait()
		}
		b := q.frames[0]
		q.frames = q.frames[1:]
		q.mu.Unlock()
		if len(b) == 0 {
			return
		}
		if _, err := w.Write(b); err != nil {
			return
		}
	}
}

func exitOf(cmd *exec.Cmd, err error) wire.Exit {
	st := cmd.ProcessState
	if st == nil {
		return wire.Exit{Code: 127, Error: fmt.Sprint(err)}
	}
	ws := st.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return wire.Exit{Code: 128 + int(ws.Signal())}
	}
	return wire.Exit{Code: ws.ExitStatus()}
}

// stream sends what a command writes.
type stream struct {
	s    *server
	kind wire.Kind
	id   uint32
}

func (w *stream) Write(b []byte) (int, error) {
	for off := 0; off < len(b); {
		end := min(off+wire.MaxData, len(b))
		if err := w.s.send(wire.Frame{Kind: w.kind, ID: w.id, Payload: b[off:end]}); err != nil {
			return off, err
		}
		off = end
	}
	return len(b), nil
}

// kmsg sends the records of /dev/kmsg from the oldest on: "prio,seq,usec,flags;text" lines, continuation lines dropped.
func (s *server) kmsg(id uint32) {
	err := func() error {
		fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		out := &stream{s, wire.KindStdout, id}
		buf := make([]byte, 16<<10)
		var batch []byte
		for {
			n, err := unix.Read(fd, buf)
			switch {
			case errors.Is(err, unix.EPIPE): // a record was overwritten meanwhile; the next read goes on
				batch = append(batch, "4,0,0,-;iupkg-vm: kernel log overrun\n"...)
				continue
			case errors.Is(err, unix.EINTR):
				continue
			case errors.Is(err, unix.EAGAIN), err == nil && n == 0:
				_, err := out.Write(batch)
				return err
			case err != nil:
				return err
			}
			batch = append(batch, firstLine(buf[:n])...)
			if len(batch) >= wire.MaxData {
				if _, err := out.Write(batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
	}()
	e := wire.Exit{}
	if err != nil {
		e = wire.Exit{Code: 1, Error: err.Error()}
	}
	_ = s.sendJSON(wire.KindExit, id, e)
}

func firstLine(b []byte) []byte {
	for i, c := range b {
		if c == '\n' {
			return b[:i+1]
		}
	}
	return append(b, '\n')
}

// drain lets the host read the last frame before the power goes: the host hangs up when it has.
func drain(port *os.File) {
	go func() {
		time.Sleep(5 * time.Second)
		powerOff()
	}()
	_, _ = io.Copy(io.Discard, port)
}
