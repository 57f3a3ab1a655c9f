// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A driver makes a program run n times in one context, with or without a fault each. It
// returns how long each run took where that can be seen, and how many came back unbalanced.
type driver struct {
	context string
	run     func(m *machine, e *extension, program string, n uint64, faults bool) (took []time.Duration, unbalanced uint64, err error)
}

// inTestRun drives a packet program by BPF_PROG_TEST_RUN: a task, softirqs held off.
// The verdicts are those of a run that faults and of one that does not.
func inTestRun(fault, fine uint32) driver {
	return driver{"task", func(_ *machine, e *extension, program string, n uint64, faults bool) (took []time.Duration, _ uint64, err error) {
		p, verdict := e.programs[program], fine
		if faults {
			verdict = fault
		}
		for range n {
			ret, t, err := p.Benchmark(frame, 1, func() {})
			if err != nil {
				return nil, 0, err
			}
			if ret != verdict {
				return nil, 0, fmt.Errorf("verdict %d, want %d", ret, verdict)
			}
			took = append(took, t)
		}
		return took, 0, nil
	}}
}

// live drives a packet program by packets: softirq.
var live = driver{"softirq", func(m *machine, e *extension, program string, n uint64, _ bool) ([]time.Duration, uint64, error) {
	// Fewer on their way than the pair's queue holds.
	const batch = 32
	s, err := e.status(program)
	if err != nil {
		return nil, 0, err
	}
	want := s.Runs
	for left := n; left > 0; {
		k := min(left, batch)
		if err := m.send(string(s.Hook), int(k)); err != nil {
			return nil, 0, err
		}
		left -= k
		want += k
		for began := time.Now(); s.Runs < want; time.Sleep(time.Millisecond) {
			if s, err = e.status(program); err != nil {
				return nil, 0, err
			}
			if time.Since(began) > 20*time.Second {
				return nil, 0, fmt.Errorf("%d of %d packets were seen", n-left-(want-s.Runs), n-left)
			}
		}
	}
	return nil, 0, nil
}}

// As in iu_torture.h.
type pointRun struct {
	context, count                          uint32
	called, elsewhere, unbalanced, reserved uint32
	ns                                      [64]uint64
}

const ioctlRun = 3<<30 | unsafe.Sizeof(pointRun{})<<16 | 'T'<<8

var pointContexts = []string{"task", "irqs-off", "locked", "softirq", "hardirq", "nmi"}

// atPoint drives a program that is attached to iu_torture_point, in the context of that number.
func atPoint(number uint32) driver {
	return driver{pointContexts[number], func(m *machine, _ *extension, _ string, n uint64, _ bool) (took []time.Duration, unbalanced uint64, err error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		// In small batches: what holds the CPU off for seconds is reported as a stall, and rightly.
		const batch = 16
		for left := n; left > 0; {
			r := pointRun{context: number, count: uint32(min(left, batch))}
			if _, _, e := unix.Syscall(unix.SYS_IOCTL, m.point.Fd(), ioctlRun, uintptr(unsafe.Pointer(&r))); e != 0 {
				return nil, 0, fmt.Errorf("call in %s: %w", pointContexts[number], e)
			}
			if r.called != r.count || r.elsewhere > 0 {
				return nil, 0, fmt.Errorf("in %s: %d of %d calls, %d in another context", pointContexts[number], r.called, r.count, r.elsewhere)
			}
			for _, ns := range r.ns[:r.called] {
				took = append(took, time.Duration(ns))
			}
			unbalanced += uint64(r.unbalanced)
			left -= uint64(r.count)
		}
		return took, unbalanced, nil
	}}
}
