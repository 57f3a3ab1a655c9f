// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/link"
	"github.com/iupkg/iupkg/manifest"
	"golang.org/x/sys/unix"
)

// findTarget is what the stub of a program has to know of where it goes. Close
// it when the stub is loaded.
func findTarget(hook Hook, target map[string]string, args Args) (*stubTarget, error) {
	t := &stubTarget{}
	switch hook {
	case HookFentry, HookFexit, HookTPBTF, HookLSM:
		if target == nil {
			return nil, fmt.Errorf("%s needs attach", hook)
		}
		to, err := findBTFTarget(hook, target)
		if err != nil {
			return nil, err
		}
		if err := to.check(hook, args); err != nil {
			to.close()
			return nil, err
		}
		t.btf = to
	case HookTracepoint:
		if target == nil {
			return nil, fmt.Errorf("%s needs attach", hook)
		}
		size, err := recordSize(target["event"])
		if err != nil {
			return nil, err
		}
		t.size = size
	case HookXDP:
		t.frags = target["frags"] == "yes"
	case HookCgroupSKB:
		t.attach = skbAttach[target["direction"]]
	case HookCgroupSockAddr:
		t.attach = sockAddrAttach[target["operation"]]
	}
	return t, nil
}

func (t *stubTarget) close() { t.btf.close() }

// tracefs is where the kernel has its tracepoints.
const tracefs = "/sys/kernel/tracing"

// mountTracefs mounts it if nobody has.
func mountTracefs() error {
	if _, err := os.Stat(tracefs + "/events"); err == nil {
		return nil
	}
	if err := unix.Mount("tracefs", tracefs, "tracefs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RELATIME, "mode=700"); err != nil {
		return refused("mount "+tracefs, "", err)
	}
	return nil
}

// recordSize is the size of the fixed part of a tracepoint's record.
func recordSize(event string) (int, error) {
	if err := mountTracefs(); err != nil {
		return 0, err
	}
	b, err := os.ReadFile(tracefs + "/events/" + event + "/format")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, &ParamError{fmt.Errorf("the kernel has no tracepoint %s", event)}
	}
	if err != nil {
		return 0, err
	}
	return recordEnd(string(b))
}

// recordEnd finds where the last field of a format file ends.
func recordEnd(format string) (int, error) {
	end := 0
	for line := range strings.Lines(format) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "field:") {
			continue
		}
		var off, size int
		for part := range strings.SplitSeq(line, ";") {
			part = strings.TrimSpace(part)
			var err error
			if v, ok := strings.CutPrefix(part, "offset:"); ok {
				off, err = strconv.Atoi(v)
			} else if v, ok := strings.CutPrefix(part, "size:"); ok {
				size, err = strconv.Atoi(v)
			}
			if err != nil {
				return 0, fmt.Errorf("format of a tracepoint: %q", line)
			}
		}
		end = max(end, off+size)
	}
	if end < wordSize || end > 1<<15 {
		return 0, fmt.Errorf("format of a tracepoint: its fields end at %d", end)
	}
	return end, nil
}

func number(target map[string]string, key string) (uint64, error) {
	s := target[key]
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 0, 63)
	if err != nil {
		return 0, &ParamError{fmt.Errorf("%s is %q: want a number", key, s)}
	}
	return n, nil
}

// attachKprobe serves kprobe and kretprobe: only the former has an offset.
func attachKprobe(a *attachment) (*Link, error) {
	fn := a.target["function"]
	off, err := number(a.target, "offset")
	if err != nil {
		return nil, err
	}
	where := fn
	if off != 0 {
		where = fmt.Sprintf("%s+%#x", fn, off)
	}
	var l link.Link
	if a.hook == HookKretprobe {
		where = "return of " + where
		l, err = link.Kretprobe(fn, a.stub, nil)
	} else {
		l, err = link.Kprobe(fn, a.stub, &link.KprobeOptions{Offset: off})
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, &ParamError{fmt.Errorf("the kernel has no function %q that can be probed", fn)}
	}
	if err != nil {
		return nil, refusedBPF("attach to "+where, err)
	}
	return a.pinned(l, where)
}

func attachUprobe(a *attachment) (*Link, error) {
	path, symbol := a.target["path"], a.target["symbol"]
	off, err := number(a.target, "offset")
	if err != nil {
		return nil, err
	}
	pid, err := number(a.target, "pid")
	if err != nil {
		return nil, err
	}
	ex, err := link.OpenExecutable(path)
	if err != nil {
		return nil, &ParamError{fmt.Errorf("cannot probe %s: %w", path, err)}
	}
	opts := &link.UprobeOptions{Offset: off, PID: int(pid)}
	where := path + ":" + symbol
	if symbol == "" {
		// The offset is one in the file.
		opts.Address, opts.Offset = off, 0
		symbol, where = "offset", fmt.Sprintf("%s:%#x", path, off)
	}
	var l link.Link
	if a.target["at"] == "return" {
		where = "return of " + where
		l, err = ex.Uretprobe(symbol, a.stub, opts)
	} else {
		l, err = ex.Uprobe(symbol, a.stub, opts)
	}
	if errors.Is(err, link.ErrNoSymbol) {
		return nil, &ParamError{fmt.Errorf("%s has no symbol %q", path, symbol)}
	}
	if err != nil {
		return nil, refusedBPF("attach to "+where, err)
	}
	return a.pinned(l, where)
}

func attachTracepoint(a *attachment) (*Link, error) {
	event := a.target["event"]
	group, name, _ := strings.Cut(event, "/")
	l, err := link.Tracepoint(group, name, a.stub, nil)
	if err != nil {
		return nil, refusedBPF("attach to "+event, err)
	}
	return a.pinned(l, event)
}

func attachTracing(a *attachment) (*Link, error) {
	n := btfNames[a.hook]
	where := a.target[n.key]
	if a.hook == HookFexit {
		where = "return of " + where
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: a.stub})
	if err != nil {
		return nil, refusedBPF("attach to "+where, err)
	}
	return a.pinned(l, where)
}

func attachLSM(a *attachment) (*Link, error) {
	where := a.target["hook"]
	l, err := link.AttachLSM(link.LSMOptions{Program: a.stub})
	if err != nil {
		return nil, refusedBPF("attach to "+where, err)
	}
	if lsmInForce(new(manifest.Profile).LookupConfig) == manifest.No && a.notice != nil {
		a.notice(fmt.Sprintf("%s: the kernel was started without the bpf security module (lsm=…,bpf), so nothing calls the hook", a.program))
	}
	return a.pinned(l, where)
}
