// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

// Package crash ends programs where it hurts. Trace runs one under ptrace and shows
// each of its system calls to a function that may kill it there, as kill -9 would.
// Disk follows what the program did to files and says what of it a power cut could
// leave: any of what was not synced may be lost.
package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Call is one system call of the traced program, before it is done and after.
type Call struct {
	Nr   int
	Args [6]uint64
	// Done says that Ret is what it returned.
	Done bool
	Ret  int64

	tid int
}

// Path is the path that a descriptor of the program stands for.
func (c *Call) Path(fd uint64) string {
	p, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.tid, int32(fd)))
	return p
}

// At is the path that a descriptor of a folder and a string in the program's
// memory stand for together.
func (c *Call) At(dirfd, addr uint64) string {
	p := c.String(addr)
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	dir := c.Path(dirfd)
	if int32(dirfd) == unix.AT_FDCWD {
		dir, _ = os.Readlink(fmt.Sprintf("/proc/%d/cwd", c.tid))
	}
	return filepath.Join(dir, p)
}

// String reads a string of the program.
func (c *Call) String(addr uint64) string {
	b := c.Bytes(addr, unix.PathMax)
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// Bytes reads memory of the program, at most n bytes.
func (c *Call) Bytes(addr, n uint64) []byte {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", c.tid))
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, n)
	got, _ := f.ReadAt(b, int64(addr))
	return b[:got]
}

// Changes says whether the call may change anything that outlives the program:
// files, modules, BPF objects, network devices, the runtime. At any other call a
// death leaves what a death at the next of these would.
func (c *Call) Changes() bool {
	switch c.Nr {
	case unix.SYS_OPENAT:
		return c.Args[2]&(unix.O_CREAT|unix.O_TRUNC) != 0
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_FTRUNCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FCHMOD, unix.SYS_FALLOCATE,
		unix.SYS_COPY_FILE_RANGE:
		p := c.Path(c.Args[0])
		return strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "/dev/null") && !strings.HasPrefix(p, "/proc/")
	case unix.SYS_IOCTL:
		return c.Args[1]>>8&0xff == 'U' // of /dev/iu
	case unix.SYS_RENAME, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINK, unix.SYS_UNLINKAT, unix.SYS_RMDIR, unix.SYS_MKDIR,
		unix.SYS_MKDIRAT, unix.SYS_SYMLINK, unix.SYS_SYMLINKAT, unix.SYS_LINK, unix.SYS_LINKAT, unix.SYS_CHMOD, unix.SYS_FCHMODAT,
		unix.SYS_TRUNCATE, unix.SYS_FLOCK, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_BPF,
		unix.SYS_MOUNT, unix.SYS_MKNOD, unix.SYS_MKNODAT, unix.SYS_SENDTO, unix.SYS_SENDMSG:
		return true
	}
	return false
}

// Trace starts the command and calls see before and after each system call of all
// of its threads and children, one at a time. When see returns true the program
// is killed: before a call, it is not done. Trace returns when all are gone, with
// whether the program was killed.
func Trace(cmd *exec.Cmd, see func(*Call) bool) (killed bool, err error) {
	// A tracer is a thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Ptrace = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		return false, err
	}
	main := cmd.Process.Pid
	var ws unix.WaitStatus
	if _, err := unix.Wait4(main, &ws, unix.WALL, nil); err != nil {
		return false, err
	}
	const options = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK |
		unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC
	if err := unix.PtraceSetOptions(main, options); err != nil {
		return false, fmt.Errorf("ptrace: %w", err)
	}
	if err := unix.PtraceSyscall(main, 0); err != nil {
		return false, err
	}
	pending := map[int]*Call{} // by thread: the call it is in
	status := unix.WaitStatus(0)
	for {
		// Other threads of this process may have children of their own.
		tid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOTHREAD, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.ECHILD) {
			break
		}
		if err != nil {
			return killed, err
		}
		if ws.Exited() || ws.Signaled() {
			delete(pending, tid)
			if tid == main {
				status = ws
			}
			continue
		}
		deliver := 0
		switch sig := ws.StopSignal(); {
		case sig == unix.SIGTRAP|0x80:
			c, err := callOf(tid, pending[tid])
			if err != nil {
				continue // killed meanwhile
			}
			if c.Done {
				delete(pending, tid)
			} else {
				pending[tid] = c
			}
			if !killed && see(c) {
				killed = true
				_ = unix.Kill(main, unix.SIGKILL)
			}
		case sig == unix.SIGTRAP, sig == unix.SIGSTOP: // an event; a thread's first stop
		default:
			deliver = int(sig)
		}
		_ = unix.PtraceSyscall(tid, deliver) // fails if it was killed meanwhile
	}
	cmd.Process.Release()
	if !killed && (status.Signaled() || status.ExitStatus() != 0) {
		return false, fmt.Errorf("%s: %w %d", cmd.Args[0], ErrExit, status.ExitStatus())
	}
	return killed, nil
}

// ErrExit means that a program that was not killed failed by itself.
var ErrExit = errors.New("exit status")

// callOf is what a thread that has stopped at a call is about to do, or has done
// if it was seen before.
func callOf(tid int, before *Call) (*Call, error) {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &r); err != nil {
		return nil, err
	}
	if before != nil {
		c := *before
		c.Done, c.Ret = true, int64(r.Rax)
		return &c, nil
	}
	return &Call{Nr: int(r.Orig_rax), Args: [6]uint64{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9}, tid: tid}, nil
}
