// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/iupkg/iupkg/kernel/vm/wire"
)

// qemuArgs is the machine as QEMU wants it; file descriptors 3 and 4 are the agent's and the monitor's socket.
func (m *Machine) qemuArgs() []string {
	c := &m.cfg
	cpu := c.CPU
	accel := m.Accel
	switch {
	case m.Accel == "kvm" && cpu == "":
		cpu = "host"
	case m.Accel == "tcg":
		if cpu == "" {
			// Five-level page tables only make a software MMU slower.
			cpu = "max,la57=off"
		}
		if c.CPUs > 1 && m.atOnce {
			accel += ",thread=multi"
		} else {
			accel += ",thread=single"
		}
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "pc", "-accel", accel, "-cpu", cpu,
		"-smp", strconv.Itoa(c.CPUs), "-m", strconv.Itoa(c.MemMiB),
		"-kernel", m.Kernel.Image(), "-initrd", m.initrd, "-append", m.cmdline(),
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", "socket,id=agent,fd=3",
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=" + wire.PortName,
		"-chardev", "socket,id=qmp,fd=4", "-mon", "chardev=qmp,mode=control",
	}
	args = append(args, m.files.qemuArgs(m.shared(), c.MemMiB)...)
	if c.Icount != "" {
		args = append(args, "-icount", c.Icount)
	}
	if !c.NoNet {
		netdev := "user,id=net"
		for _, f := range m.forwards {
			netdev += fmt.Sprintf(",hostfwd=%s:127.0.0.1:%d-:%d", f.Proto, f.Host, f.Guest)
		}
		// No option ROM: nothing boots from the network.
		args = append(args, "-netdev", netdev, "-device", "virtio-net-pci,netdev=net,romfile=")
	}
	return append(args, c.ExtraArgs...)
}

// cmdline: warnings and worse go to the console, where they survive a crash; a panic resets, which -no-reboot makes an end.
func (m *Machine) cmdline() string {
	line := "console=ttyS0 loglevel=5 panic=-1 log_buf_len=4M net.ifnames=0"
	if m.Accel == "tcg" {
		// The kernel panics if the timer does not tick at once, which an emulator on a busy host cannot promise.
		line += " no_timer_check"
	}
	if m.cfg.Append != "" {
		line += " " + m.cfg.Append
	}
	return line
}

// escape doubles commas, as QEMU's options want it.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// monitor speaks QMP.
type monitor struct {
	mu    sync.Mutex // guards one exchange at a time, and what follows
	conn  net.Conn
	dec   *json.Decoder
	ready bool
}

type qmpReply struct {
	QMP    json.RawMessage `json:"QMP"`
	Event  string          `json:"event"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
}

func (q *monitor) do(ctx context.Context, command string, args any) (json.RawMessage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(30 * time.Second)
	}
	if err := q.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if !q.ready {
		q.dec = json.NewDecoder(q.conn)
		if _, err := q.exchange("qmp_capabilities", nil); err != nil {
			return nil, err
		}
		q.ready = true
	}
	return q.exchange(command, args)
}

func (q *monitor) exchange(command string, args any) (json.RawMessage, error) {
	req := map[string]any{"execute": command}
	if args != nil {
		req["arguments"] = args
	}
	b, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	if _, err := q.conn.Write(append(b, '\n')); err != nil {
		return nil, err
	}
	for {
		var r qmpReply
		if err := q.dec.Decode(&r); err != nil {
			return nil, err
		}
		switch {
		case r.Error != nil:
			return nil, errors.New(r.Error.Desc)
		case r.QMP != nil || r.Event != "":
			// The greeting, or something that happened; neither is the answer.
		default:
			return r.Return, nil
		}
	}
}
