// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/iupkg/iupkg/internal/torture/point"
)

// A driver makes a program run n times in one context, with or without a fault each. It
// returns how long each run took where that can be seen, and how many came back unbalanced.
type driver struct {
	context string
	shared  bool   // others reach the hook too, so there may be more runs than n
	most    uint64 // runs of a case, where they take long; 0: any number
	run     func(m *machine, e *extension, program string, n uint64, faults bool) (took []time.Duration, unbalanced uint64, err error)
}

// inTestRun drives a packet program by BPF_PROG_TEST_RUN: a task, softirqs held off.
// The verdicts are those of a run that faults and of one that does not.
func inTestRun(fault, fine uint32) driver {
	return driver{context: "task", run: func(_ *machine, e *extension, program string, n uint64, faults bool) (took []time.Duration, _ uint64, err error) {
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
var live = driver{context: "softirq", run: func(m *machine, e *extension, program string, n uint64, _ bool) ([]time.Duration, uint64, error) {
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

// atPoint drives a program that is attached to iu_torture_point, or to its tracepoint, in the context of that number.
func atPoint(number uint32) driver {
	return driver{context: point.Contexts[number], run: func(m *machine, _ *extension, _ string, n uint64, _ bool) ([]time.Duration, uint64, error) {
		return m.point.Run(number, n)
	}}
}
