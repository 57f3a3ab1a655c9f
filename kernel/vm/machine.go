// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/iupkg/iupkg/kernel/vm/wire"
)

// Machine is a running machine. Its methods may be called at the same time.
type Machine struct {
	Kernel   *Kernel
	Accel    string        // "tcg" or "kvm"
	BootTime time.Duration // from QEMU's start to the agent's first word

	cfg      Config
	forwards []Forward
	cmd      *exec.Cmd
	agent    *client
	qmp      *monitor
	console  *console
	initrd   string
	atOnce   bool // see runsAtOnce
	files    *hostFiles

	done chan struct{} // closed when QEMU has ended
	mu   sync.Mutex    // guards cause
	// cause is why the machine ended; set before it is killed, or by its end.
	cause string
}

// Death is the error of everything asked of a machine that has ended or no longer answers.
type Death struct {
	Cause   string // "kernel panic: …", "hung: …", "stopped", "qemu: …"
	Console string // the console's last lines
}

func (d *Death) Error() string {
	if d.Console == "" {
		return "virtual machine: " + d.Cause
	}
	return "virtual machine: " + d.Cause + "\nend of its console:\n" + d.Console
}

// Start boots a machine and waits until it takes commands.
func Start(ctx context.Context, cfg Config) (*Machine, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	k := cfg.Image
	if k == nil {
		var err error
		if k, err = Find(ctx, cfg.Kernel); err != nil {
			return nil, err
		}
	}
	accel := cfg.Accel
	if accel == "" {
		accel = probeAccel(ctx, k)
	}
	var err error
	for range 3 {
		var m *Machine
		if m, err = start(ctx, cfg, k, accel); err == nil {
			return m, nil
		}
		if !again(err) {
			break
		}
	}
	return nil, err
}

// again says whether a machine that did not start may start the next time: a port found free was taken by the time
// QEMU bound it.
func again(err error) bool {
	return strings.Contains(err.Error(), "Could not set up host forwarding rule")
}

func start(ctx context.Context, cfg Config, k *Kernel, accel string) (_ *Machine, err error) {
	m := &Machine{Kernel: k, Accel: accel, cfg: cfg, done: make(chan struct{})}
	version, err := qemuVersion(ctx)
	if err != nil {
		return nil, err
	}
	m.atOnce = runsAtOnce(version)
	m.console = &console{tee: cfg.Console, onPanic: m.panicked}
	if m.forwards, err = pickPorts(cfg.Forwards); err != nil {
		return nil, err
	}
	if err := m.makeInitrd(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.Remove(m.initrd)
			m.files.close()
		}
	}()
	if err := m.files.serve(ctx, m.shared()); err != nil {
		return nil, err
	}
	agentHost, agentGuest, err := socketPair("agent")
	if err != nil {
		return nil, err
	}
	defer agentGuest.Close()
	qmpHost, qmpGuest, err := socketPair("qmp")
	if err != nil {
		agentHost.Close()
		return nil, err
	}
	defer qmpGuest.Close()
	m.cmd = exec.Command("qemu-system-x86_64", m.qemuArgs()...)
	m.cmd.Stdout, m.cmd.Stderr = m.console, m.console
	m.cmd.ExtraFiles = []*os.File{agentGuest, qmpGuest}
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	began := time.Now()
	started := make(chan error)
	go m.own(started)
	if err := <-started; err != nil {
		agentHost.Close()
		qmpHost.Close()
		return nil, fmt.Errorf("qemu: %w", err)
	}
	m.qmp = &monitor{conn: qmpHost}
	m.agent = newClient(agentHost)
	if err := m.awaitHello(ctx); err != nil {
		m.Stop()
		return nil, err
	}
	m.BootTime = time.Since(began)
	if cfg.Icount == "" {
		go m.watch()
	}
	return m, nil
}

// own starts QEMU and waits for its end. The kernel sends the parent-death signal when the thread that started a process
// ends, not when its process does, so the thread is kept.
func (m *Machine) own(started chan<- error) {
	runtime.LockOSThread()
	err := m.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	err = m.cmd.Wait()
	os.Remove(m.initrd)
	m.files.close()
	m.setCause(fmt.Sprintf("qemu ended: %v", m.cmd.ProcessState))
	close(m.done)
	m.agent.fail(m.death())
}

func (m *Machine) awaitHello(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.BootTimeout)
	defer cancel()
	select {
	case h := <-m.agent.hello:
		if h.Error != "" {
			m.setCause("could not be set up: " + h.Error)
			return m.death()
		}
		if h.Release != m.Kernel.Release {
			return fmt.Errorf("booted %s but asked for %s", h.Release, m.Kernel.Release)
		}
		return nil
	case <-m.done:
		return m.death()
	case <-ctx.Done():
		m.setCause(fmt.Sprintf("did not boot: %v", ctx.Err()))
		return m.death()
	}
}

// watch ends a machine that has something to do but does not answer.
func (m *Machine) watch() {
	tick := time.NewTicker(m.cfg.HangTimeout / 4)
	defer tick.Stop()
	var silentSince time.Time
	for {
		select {
		case <-m.done:
			return
		case <-tick.C:
		}
		busy, heard := m.agent.state()
		switch {
		case !busy:
			silentSince = time.Time{}
		case silentSince.IsZero() || heard.After(silentSince):
			silentSince = time.Now()
			m.agent.ping()
		case time.Since(silentSince) > m.cfg.HangTimeout:
			m.setCause(fmt.Sprintf("hung: no answer for %v", m.cfg.HangTimeout))
			m.kill()
			return
		}
	}
}

// panicked is called by the console. With panic=-1 the guest resets at once, which ends QEMU; a guest too broken for that
// is ended here.
func (m *Machine) panicked(line string) {
	m.setCause("kernel panic: " + line)
	go func() {
		select {
		case <-m.done:
		case <-time.After(10 * time.Second):
			m.kill()
		}
	}()
}

func (m *Machine) setCause(c string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cause == "" {
		m.cause = c
	}
}

func (m *Machine) death() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Death{Cause: m.cause, Console: m.console.tail(60)}
}

func (m *Machine) kill() { _ = m.cmd.Process.Kill() }

// Stop ends the machine, waits until it is gone, and frees what it used. Scratch is lost. It returns the Death of a
// machine that had ended by itself.
func (m *Machine) Stop() error {
	m.setCause("stopped")
	m.kill()
	<-m.done
	m.agent.close()
	m.qmp.conn.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cause != "stopped" {
		return &Death{Cause: m.cause, Console: m.console.tail(60)}
	}
	return nil
}

// Done is closed when the machine has ended.
func (m *Machine) Done() <-chan struct{} { return m.done }

// PID is QEMU's process.
func (m *Machine) PID() int { return m.cmd.Process.Pid }

// Addr is the address on the host that leads to a port of the guest; empty when it is not forwarded.
func (m *Machine) Addr(proto string, guest int) string {
	for _, f := range m.forwards {
		if f.Proto == proto && f.Guest == guest {
			return fmt.Sprintf("127.0.0.1:%d", f.Host)
		}
	}
	return ""
}

// ConsoleLog is the last part of what the console showed: warnings and worse, not the whole kernel log (see Dmesg).
func (m *Machine) ConsoleLog() string { return m.console.tail(1 << 20) }

// Monitor runs a command of QEMU's monitor protocol, such as "inject-nmi", and returns its answer.
func (m *Machine) Monitor(ctx context.Context, command string, args any) (json.RawMessage, error) {
	r, err := m.qmp.do(ctx, command, args)
	if err != nil {
		return nil, fmt.Errorf("qemu monitor: %s: %w", command, err)
	}
	return r, nil
}

// NMI sends the guest's CPUs a non-maskable interrupt.
func (m *Machine) NMI(ctx context.Context) error {
	_, err := m.Monitor(ctx, "inject-nmi", nil)
	return err
}

func (m *Machine) makeInitrd(ctx context.Context) error {
	agent, err := agentBinary(ctx)
	if err != nil {
		return err
	}
	fs, modules, err := hostFS(m.Kernel)
	if err != nil {
		return err
	}
	m.files = &hostFiles{fs: fs, log: m.console}
	boot := wire.Boot{Hostname: "iupkg-vm", Release: m.Kernel.Release, KernelAt: m.Kernel.Dir, Network: !m.cfg.NoNet, FS: fs}
	for i, s := range m.cfg.Shares {
		boot.Shares = append(boot.Shares, wire.Share{Tag: shareTag(i), Guest: s.Guest, Writable: s.Writable})
	}
	f, err := os.CreateTemp("", "iupkg-vm-*.cpio")
	if err != nil {
		return err
	}
	m.initrd = f.Name()
	err = writeInitramfs(ctx, f, m.Kernel, agent, modules, boot)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// socketPair gives a connection and the file that QEMU inherits: no path, no race, and gone when either side is.
func socketPair(name string) (net.Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	host, guest := os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name)
	defer host.Close()
	conn, err := net.FileConn(host)
	if err != nil {
		return nil, nil, errors.Join(err, guest.Close())
	}
	return conn, guest, nil
}
