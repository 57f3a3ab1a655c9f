// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/iupkg/iupkg/kernel/vm/wire"
)

// Cmd is a command to run in a machine.
type Cmd struct {
	Argv   []string
	Env    []string  // added to a small standard environment
	Dir    string    // default /
	Stdin  io.Reader // default /dev/null
	Stdout io.Writer // default: dropped. Writers must not wait for another command of the machine
	Stderr io.Writer
}

// Result is what a command left.
type Result struct {
	Stdout, Stderr string
	Exit           int // 128+n for signal n
}

// Exec runs a command and returns its exit code; not zero is not an error. When ctx ends first the command and all that
// it started in its process group is killed and ctx's error returned.
func (m *Machine) Exec(ctx context.Context, c Cmd) (int, error) {
	if len(c.Argv) == 0 {
		return 0, errors.New("no command given")
	}
	e := wire.Exec{Argv: c.Argv, Env: c.Env, Dir: c.Dir, Stdin: c.Stdin != nil}
	code, err := m.agent.call(ctx, wire.KindExec, e, c)
	if err != nil {
		return 0, fmt.Errorf("run %s in the machine: %w", strings.Join(c.Argv, " "), err)
	}
	return code, nil
}

// Run runs a command and returns its output and exit code; not zero is not an error.
func (m *Machine) Run(ctx context.Context, argv ...string) (Result, error) {
	var out, errs bytes.Buffer
	code, err := m.Exec(ctx, Cmd{Argv: argv, Stdout: &out, Stderr: &errs})
	return Result{out.String(), errs.String(), code}, err
}

// Shell runs a script with bash; any failing command in it ends it.
func (m *Machine) Shell(ctx context.Context, script string) (Result, error) {
	return m.Run(ctx, "/bin/bash", "-euo", "pipefail", "-c", script)
}

// Output runs a command that must exit with 0 and returns what it wrote to stdout.
func (m *Machine) Output(ctx context.Context, argv ...string) (string, error) {
	r, err := m.Run(ctx, argv...)
	if err == nil && r.Exit != 0 {
		err = fmt.Errorf("run %s in the machine: exit %d: %s", strings.Join(argv, " "), r.Exit, strings.TrimSpace(r.Stderr))
	}
	return r.Stdout, err
}

// WriteFile writes a file of the machine's scratch space.
func (m *Machine) WriteFile(ctx context.Context, path string, data []byte) error {
	var errs bytes.Buffer
	code, err := m.Exec(ctx, Cmd{
		Argv:  []string{"/bin/sh", "-c", `mkdir -p "$(dirname "$0")" && cat >"$0"`, path},
		Stdin: bytes.NewReader(data), Stderr: &errs,
	})
	if err == nil && code != 0 {
		err = fmt.Errorf("write %s in the machine: %s", path, strings.TrimSpace(errs.String()))
	}
	return err
}

// ReadFile reads a file of the machine.
func (m *Machine) ReadFile(ctx context.Context, path string) ([]byte, error) {
	out, err := m.Output(ctx, "/bin/cat", "--", path)
	return []byte(out), err
}

// client speaks the agent's protocol.
type client struct {
	conn  net.Conn
	hello chan wire.Hello

	out sync.Mutex // guards writes to conn

	mu      sync.Mutex // guards what follows
	next    uint32
	pending map[uint32]*call
	heard   time.Time
	err     error         // why the connection ended
	ended   chan struct{} // closed when err is set
}

type call struct {
	stdout, stderr io.Writer
	exit           chan wire.Exit
}

func newClient(conn net.Conn) *client {
	c := &client{conn: conn, hello: make(chan wire.Hello, 1), pending: map[uint32]*call{}, ended: make(chan struct{})}
	go c.read()
	return c
}

func (c *client) close() { c.conn.Close() }

// fail ends all calls. The machine's end comes with a better reason than the closed connection, so that is left to it.
func (c *client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.ended)
	}
}

func (c *client) read() {
	for {
		f, err := wire.Read(c.conn)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.heard = time.Now()
		p := c.pending[f.ID]
		c.mu.Unlock()
		switch f.Kind {
		case wire.KindHello:
			var h wire.Hello
			if err := json.Unmarshal(f.Payload, &h); err != nil {
				h.Error = "bad greeting: " + err.Error()
			}
			select {
			case c.hello <- h:
			default:
			}
		case wire.KindStdout:
			p.write(func() io.Writer { return p.stdout }, f.Payload)
		case wire.KindStderr:
			p.write(func() io.Writer { return p.stderr }, f.Payload)
		case wire.KindExit:
			var e wire.Exit
			if err := json.Unmarshal(f.Payload, &e); err != nil {
				e = wire.Exit{Code: 127, Error: "bad exit frame: " + err.Error()}
			}
			if p != nil {
				p.exit <- e
			}
		}
	}
}

func (p *call) write(to func() io.Writer, b []byte) {
	if p == nil {
		return
	}
	if w := to(); w != nil {
		// A caller's writer that fails only loses its own output.
		_, _ = w.Write(b)
	}
}

func (c *client) send(f wire.Frame) error {
	c.out.Lock()
	defer c.out.Unlock()
	return wire.Write(c.conn, f)
}

func (c *client) ping() { go func() { _ = c.send(wire.Frame{Kind: wire.KindPing}) }() }

// state says whether a command is under way and when the machine last said something.
func (c *client) state() (busy bool, heard time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) > 0, c.heard
}

func (c *client) call(ctx context.Context, kind wire.Kind, req any, cmd Cmd) (int, error) {
	payload, err := json.Marshal(req)
	if err != nil {
		return 0, err
	}
	p := &call{stdout: cmd.Stdout, stderr: cmd.Stderr, exit: make(chan wire.Exit, 1)}
	c.mu.Lock()
	c.next++
	id := c.next
	c.pending[id] = p
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
	}()
	sent := make(chan error, 1)
	go func() { sent <- c.send(wire.Frame{Kind: kind, ID: id, Payload: payload}) }()
	select {
	case err = <-sent:
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.ended:
	}
	if err == nil && cmd.Stdin != nil {
		go c.feed(id, cmd.Stdin)
	}
	if err == nil {
		var exit wire.Exit
		if exit, err = c.await(ctx, id, p); err == nil {
			if exit.Error != "" {
				return exit.Code, errors.New(exit.Error)
			}
			return exit.Code, nil
		}
	}
	// Why the machine ended says more than a broken connection; it is known within a moment.
	select {
	case <-c.ended:
		c.mu.Lock()
		defer c.mu.Unlock()
		return 0, c.err
	case <-time.After(time.Second):
		return 0, err
	}
}

func (c *client) await(ctx context.Context, id uint32, p *call) (wire.Exit, error) {
	select {
	case e := <-p.exit:
		return e, nil
	case <-c.ended:
		return wire.Exit{}, io.ErrUnexpectedEOF
	case <-ctx.Done():
	}
	go func() { _ = c.send(wire.Frame{Kind: wire.KindSignal, ID: id, Payload: []byte{9}}) }()
	select {
	case <-p.exit:
	case <-c.ended:
	case <-time.After(5 * time.Second):
	}
	return wire.Exit{}, ctx.Err()
}

// feed sends a command's input until it ends; frames for a command that has ended are dropped by the agent.
func (c *client) feed(id uint32, r io.Reader) {
	buf := make([]byte, wire.MaxData)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if c.send(wire.Frame{Kind: wire.KindStdin, ID: id, Payload: buf[:n]}) != nil {
				return
			}
		}
		if err != nil {
			_ = c.send(wire.Frame{Kind: wire.KindStdin, ID: id})
			return
		}
	}
}
