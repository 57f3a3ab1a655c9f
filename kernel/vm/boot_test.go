// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/iupkg/iupkg/kernel/vm"
	"github.com/iupkg/iupkg/kernel/vm/vmtest"
)

func TestStockKernels(t *testing.T) {
	for _, k := range vmtest.Kernels {
		t.Run(k, func(t *testing.T) {
			shared := t.TempDir()
			m := vmtest.Start(t, vm.Config{
				Kernel: k, CPUs: 2,
				Forwards: []vm.Forward{{Proto: "tcp", Guest: 7}, {Proto: "udp", Guest: 7}},
				Shares:   []vm.Share{{Host: shared, Guest: "/mnt/shared", Writable: true}},
			})
			if got := vmtest.Run(t, m, "uname", "-r"); strings.TrimSpace(got) != m.Kernel.Release {
				t.Errorf("uname -r: %q", got)
			}
			t.Run("commands", func(t *testing.T) { commands(t, m) })
			t.Run("files", func(t *testing.T) { files(t, m, shared) })
			t.Run("kernel", func(t *testing.T) { kernelFiles(t, m) })
			t.Run("network", func(t *testing.T) { network(t, m) })
			t.Run("log", func(t *testing.T) { kernelLog(t, m) })
		})
	}
}

// Cloud kernels have no 9P, so the host's files come over virtiofs: as good, and as safe for the host.
func TestCloudKernel(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	shared := t.TempDir()
	m := vmtest.Start(t, vm.Config{Kernel: "6.12-cloud", Shares: []vm.Share{{Host: shared, Guest: "/mnt/shared", Writable: true}}})
	files(t, m, shared)
	kernelFiles(t, m)
	// The host refuses writes to its files even where the guest mounts them for writing.
	dir := t.TempDir()
	r, err := m.Shell(t.Context(), "mount -t virtiofs root /mnt && touch /mnt"+dir+"/x")
	if err != nil || r.Exit == 0 || !strings.Contains(r.Stderr, "Read-only") {
		t.Errorf("got %+v, %v", r, err)
	}
}

func commands(t *testing.T, m *vm.Machine) {
	ctx := t.Context()
	for script, want := range map[string]vm.Result{
		"exit 0":                    {},
		"exit 7":                    {Exit: 7},
		"kill -9 $$":                {Exit: 137},
		"echo out; echo err >&2":    {Stdout: "out\n", Stderr: "err\n"},
		"printf 'a\\0b'; false":     {Stdout: "a\x00b", Exit: 1},
		"cat; echo $HOME $(pwd)":    {Stdout: "/root /\n"},
		"(sleep 60 &) ; echo daemo": {Stdout: "daemo\n"},
	} {
		if got, err := m.Run(ctx, "sh", "-c", script); err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", script, got, err, want)
		}
	}
	if _, err := m.Run(ctx, "/no/such/program"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a program that is not there: %v", err)
	}
	if r, err := m.Shell(ctx, "false | true; echo on"); err != nil || r.Exit == 0 || r.Stdout != "" {
		t.Errorf("Shell went on after a failure: %+v, %v", r, err)
	}

	// Big output, both streams at once, and big input, unchanged.
	const size = 3 << 20
	big := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	var out bytes.Buffer
	code, err := m.Exec(ctx, vm.Cmd{Argv: []string{"sh", "-c", "tee /dev/stderr"}, Stdin: bytes.NewReader(big),
		Stdout: &out, Stderr: io.Discard})
	if err != nil || code != 0 || !bytes.Equal(out.Bytes(), big) {
		t.Errorf("big output: %d of %d bytes, exit %d, %v", out.Len(), size, code, err)
	}
	// A command that does not read its input holds nothing up.
	if code, err := m.Exec(ctx, vm.Cmd{Argv: []string{"true"}, Stdin: bytes.NewReader(big)}); err != nil || code != 0 {
		t.Errorf("input that nobody reads: exit %d, %v", code, err)
	}

	// Commands run at the same time, and one that is cancelled is killed with its children.
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	slow := make(chan error)
	go func() {
		_, err := m.Run(short, "sh", "-c", "sleep 4711; true")
		slow <- err
	}()
	if _, err := m.Output(ctx, "true"); err != nil {
		t.Error(err)
	}
	if err := <-slow; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled command: %v", err)
	}
	if r, err := m.Run(ctx, "pgrep", "-f", "^sleep 4711"); err != nil || r.Exit == 0 {
		t.Errorf("the cancelled command's child lives: %+v, %v", r, err)
	}
}

func files(t *testing.T, m *vm.Machine, shared string) {
	ctx := t.Context()
	dir := t.TempDir()
	file := filepath.Join(dir, "of-the-host")
	if err := os.WriteFile(file, []byte("host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := m.ReadFile(ctx, file); err != nil || string(b) != "host\n" {
		t.Errorf("a file of the host: %q, %v", b, err)
	}
	// What the guest writes stays in the guest.
	if err := m.WriteFile(ctx, file, []byte("guest\n")); err != nil {
		t.Error(err)
	}
	if b, _ := m.ReadFile(ctx, file); string(b) != "guest\n" {
		t.Errorf("the guest reads %q of what it wrote", b)
	}
	if b, _ := os.ReadFile(file); string(b) != "host\n" {
		t.Errorf("the guest has changed a file of the host: %q", b)
	}
	vmtest.Shell(t, m, "echo x > "+dir+"/new; rm /etc/debian_version; mkdir -p /var/lib/iupkg; touch /var/lib/iupkg/x")
	if _, err := os.Stat(dir + "/new"); err == nil {
		t.Error("a new file of the guest is on the host")
	}
	if _, err := os.Stat("/etc/debian_version"); err != nil {
		t.Errorf("the guest has removed a file of the host: %v", err)
	}
	// A big file is the same on both sides.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if got := vmtest.Run(t, m, "sha256sum", self); !strings.HasPrefix(got, fmt.Sprintf("%x", sha256.Sum256(b))) {
		t.Errorf("sha256sum: %s", got)
	}
	// A share is the same folder on both sides, at once.
	vmtest.Shell(t, m, "test ! -e /mnt/shared/ping")
	if err := os.WriteFile(filepath.Join(shared, "ping"), []byte("ping"), 0o644); err != nil {
		t.Fatal(err)
	}
	vmtest.Shell(t, m, "cat /mnt/shared/ping > /mnt/shared/pong")
	if b, err := os.ReadFile(filepath.Join(shared, "pong")); err != nil || string(b) != "ping" {
		t.Errorf("share: %q, %v", b, err)
	}
}

func kernelFiles(t *testing.T, m *vm.Machine) {
	vmtest.Shell(t, m, `
		r=$(uname -r)
		grep -q '^CONFIG_BPF_SYSCALL=y' /boot/config-$r
		test -s /sys/kernel/btf/vmlinux
		modprobe sch_ingress
		grep -q '^sch_ingress ' /proc/modules
		test "$(stat -f -c %T /sys/fs/bpf)" = bpf_fs
		touch /lib/modules/$r/writable
		test -c /dev/null && test -e /dev/fd/0 && test -d /dev/shm`)
}

// network sends through both forwards to a server in the guest, and from the guest to the host's loopback.
func network(t *testing.T, m *vm.Machine) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		_, err := m.Exec(ctx, vm.Cmd{Argv: []string{self}, Env: []string{echoEnv + "=7"}, Stderr: os.Stderr})
		served <- err
	}()
	defer func() { cancel(); <-served }()
	for _, proto := range []string{"tcp", "udp"} {
		want := []byte("over " + proto)
		var got []byte
		// The server takes a moment to come up; a datagram that comes too early is lost, a connection refused.
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && got == nil; time.Sleep(50 * time.Millisecond) {
			got = exchange(proto, m.Addr(proto, 7), want)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", proto, got, want)
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			fmt.Fprintln(c, "from the host")
			c.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	if got := vmtest.Shell(t, m, fmt.Sprintf("cat </dev/tcp/10.0.2.2/%d", port)); got != "from the host\n" {
		t.Errorf("from the host's loopback: %q", got)
	}
}

func exchange(proto, addr string, b []byte) []byte {
	c, err := net.DialTimeout(proto, addr, time.Second)
	if err != nil {
		return nil
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := c.Write(b); err != nil {
		return nil
	}
	got := make([]byte, len(b))
	if _, err := io.ReadFull(c, got); err != nil {
		return nil
	}
	return got
}

func kernelLog(t *testing.T, m *vm.Machine) {
	log, err := m.Dmesg(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(log.Records) < 100 || !strings.Contains(log.Records[0].Text, "Linux version "+m.Kernel.Release) {
		t.Errorf("the kernel log has %d records, the first is %+v", len(log.Records), log.Records[0])
	}
}

// A machine whose kernel panics is an error at once, with the panic in it, and leaves no process.
func TestPanic(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a virtual machine")
	}
	m, err := vm.Start(t.Context(), vm.Config{Kernel: "6.12", NoNet: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// A complaint in the kernel's log is seen. (vmtest.Start would fail the test for it.)
	const complaint = "WARNING: CPU: 0 PID: 1 at the test"
	if _, err := m.Shell(ctx, "echo '<4>"+complaint+"' > /dev/kmsg"); err != nil {
		t.Fatal(err)
	}
	if log, err := m.Dmesg(ctx); err != nil || len(log.Problems()) != 1 || log.Problems()[0] != complaint {
		t.Errorf("problems: %v, %v", log.Problems(), err)
	}
	_, err = m.Shell(ctx, "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger; sleep 60")
	var death *vm.Death
	if !errors.As(err, &death) || !strings.Contains(death.Cause, "sysrq triggered crash") {
		t.Errorf("got %v", err)
	}
	if err := m.Stop(); err == nil {
		t.Error("Stop says that nothing happened")
	}
	if err := syscall.Kill(m.PID(), 0); err == nil {
		t.Error("QEMU lives on")
	}
	if _, err := m.Run(t.Context(), "true"); !errors.As(err, &death) {
		t.Errorf("Run after the end: %v", err)
	}
}

// A machine whose CPU spins with interrupts off is found out.
func TestHang(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a virtual machine")
	}
	m, err := vm.Start(t.Context(), vm.Config{Kernel: "6.12", NoNet: true, HangTimeout: 4 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	if _, err := m.Run(t.Context(), "sleep", "10"); err != nil {
		t.Fatalf("a command longer than the time-out: %v", err)
	}
	go func() {
		time.Sleep(time.Second)
		_, _ = m.Monitor(context.Background(), "stop", nil)
	}()
	var death *vm.Death
	if _, err := m.Run(t.Context(), "sleep", "60"); !errors.As(err, &death) || !strings.Contains(death.Cause, "hung") {
		t.Errorf("got %v", err)
	}
}

// A machine that counts instructions boots and works, with its clock going by what it has executed.
func TestIcount(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a virtual machine")
	}
	m := vmtest.Start(t, vm.Config{Kernel: "6.12", NoNet: true, Icount: "shift=0,sleep=off"})
	vmtest.Run(t, m, "true")
}

// echoEnv makes the test binary the server that it runs in the guest.
const echoEnv = "IUPKG_VM_TEST_ECHO_PORT"

func TestMain(m *testing.M) {
	port := os.Getenv(echoEnv)
	if port == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	u, err := net.ListenPacket("udp4", ":"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(b[:n], from)
		}
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		go func() {
			_, _ = io.Copy(c, c)
			c.Close()
		}()
	}
}
