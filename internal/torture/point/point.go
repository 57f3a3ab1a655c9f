// SPDX-License-Identifier: Apache-2.0

// Package point drives /dev/iu_torture (kernel/module/torture/iu_torture.h): it has a
// function of the kernel called in a context of one's choice, so that a program attached to it
// runs there. For virtual machines of this repository's suites only.
package point

import (
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Contexts are named by their numbers.
var Contexts = []string{"task", "irqs-off", "locked", "softirq", "hardirq", "nmi"}

// Device is open.
type Device struct{ f *os.File }

// Load inserts iu_torture.ko and opens its device.
func Load(module string) (*Device, error) {
	m, err := os.Open(module)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if err := unix.FinitModule(int(m.Fd()), "", 0); err != nil {
		return nil, fmt.Errorf("load %s: %w", module, err)
	}
	// The node comes by udev or devtmpfs, in its own time.
	for range 50 {
		var f *os.File
		if f, err = os.OpenFile("/dev/iu_torture", os.O_RDWR, 0); err == nil {
			return &Device{f}, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, err
}

const (
	read  = 2 << 30
	write = 1 << 30
)

func ioctl[T any](d *Device, direction, number uintptr, arg *T) error {
	request := direction | unsafe.Sizeof(*arg)<<16 | 'T'<<8 | number
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, d.f.Fd(), request, uintptr(unsafe.Pointer(arg))); e != 0 {
		return e
	}
	return nil
}

// batch is as many calls as one request takes. What holds the CPU off for seconds is
// reported as a stall, and rightly.
const batch = 64

type runs struct {
	context, count                          uint32
	called, elsewhere, unbalanced, reserved uint32
	ns                                      [batch]uint64
}

// Run has the function called n times in a context. It returns how long each call took,
// and how many came back with another preemption count, RCU nesting or interrupt flag.
func (d *Device) Run(context uint32, n uint64) (took []time.Duration, unbalanced uint64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for left := n; left > 0; {
		r := runs{context: context, count: uint32(min(left, batch))}
		if err := ioctl(d, read|write, 0, &r); err != nil {
			return nil, 0, fmt.Errorf("call in %s: %w", Contexts[context], err)
		}
		if r.called != r.count || r.elsewhere > 0 {
			return nil, 0, fmt.Errorf("in %s: %d of %d calls, %d in another context", Contexts[context], r.called, r.count, r.elsewhere)
		}
		for _, ns := range r.ns[:r.called] {
			took = append(took, time.Duration(ns))
		}
		unbalanced += uint64(r.unbalanced)
		left -= uint64(r.count)
	}
	return took, unbalanced, nil
}

// Nested is what happened on one CPU.
type Nested struct {
	count      uint32
	Calls      [3]uint32 // of each function
	Deepest    uint32    // most of them at a time
	Unbalanced uint32
}

// Nest has three functions called on a CPU, each in a context that interrupts the one before. Do it on
// several CPUs at once: the last one's interrupts are what these send each other. It uses up the
// goroutine's thread.
func (d *Device) Nest(cpu int, n uint64) (*Nested, error) {
	runtime.LockOSThread() // and never unlocked: the thread ends, with its affinity
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return nil, err
	}
	r := &Nested{count: uint32(n)}
	return r, ioctl(d, read|write, 1, r)
}

type slowed struct {
	function     [64]byte
	ms, reserved uint32
}

// Slow makes the next call of a function of the kernel take so long; 0 takes that back.
func (d *Device) Slow(function string, by time.Duration) error {
	c := slowed{ms: uint32(by.Milliseconds())}
	copy(c.function[:], function)
	if err := ioctl(d, write, 2, &c); err != nil {
		return fmt.Errorf("slow %s down: %w", function, err)
	}
	return nil
}
