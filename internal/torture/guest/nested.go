// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/internal/torture/point"
	"github.com/iupkg/iupkg/internal/torture/wire"
	"github.com/iupkg/iupkg/kernel"
)

// nestedPrograms are those of the extension nest, in the order of calls.
var nestedPrograms = []string{"in_task", "in_hardirq", "in_nmi"}

// enough runs are those after which all CPUs have been at it at the same time.
const enough = 50

// nestedProperties are done by all three programs at once, on all CPUs at once.
var nestedProperties = []property{
	{"panic-all", 10, "panic", 200},
	{"loop", 2, "budget", 200},
	{"loop-all", 11, "budget", 50},
	{"overflow", 3, "stack", 200},
}

// nestedCase runs a program in a task of each CPU, interrupted by another in a timer's
// interrupt, and both by a third in NMI.
func (m *machine) nestedCase(e *extension, p property) wire.Case {
	r := wire.Case{Property: p.name, Context: "nested-" + fmt.Sprint(runtime.NumCPU()) + "-cpus", Hook: "fentry"}
	if err := m.nested(e, p, &r); err != nil {
		r.Wrong = err.Error()
	}
	return r
}

func (m *machine) nested(e *extension, p property, r *wire.Case) error {
	var before [3]kernel.ProgramStatus
	for i, name := range nestedPrograms {
		var err error
		if before[i], err = e.status(name); err != nil {
			return err
		}
		if err := e.mode(name, p.mode); err != nil {
			return err
		}
		defer e.mode(name, 0)
	}
	mark, err := sideload.Memory()
	if err != nil {
		return err
	}
	type outcome struct {
		*point.Nested
		err error
	}
	done := make(chan outcome)
	cpus := runtime.NumCPU()
	for cpu := range cpus {
		go func() {
			n, err := m.point.Nest(cpu, p.runs)
			done <- outcome{n, err}
		}()
	}
	var calls [3]uint64
	deepest := uint32(0)
	for range cpus {
		n := <-done
		if n.err != nil {
			err = errors.Join(err, n.err)
			continue
		}
		r.Leaks += uint64(n.Unbalanced)
		deepest = max(deepest, n.Deepest)
		for i := range calls {
			calls[i] += uint64(n.Calls[i])
		}
	}
	if err != nil {
		return err
	}
	for i, name := range nestedPrograms {
		after, err := e.status(name)
		if err != nil {
			return err
		}
		r.Runs += calls[i]
		for cause, n := range after.Faults {
			n -= before[i].Faults[cause]
			// In NMI a lock that is taken is a fault: it may be whoever was interrupted that has it. Elsewhere
			// it is waited for until the budget is used up, which it is where the host stops the other CPU.
			waited := strings.HasSuffix(p.name, "-all") && (cause == "lock" && name == "in_nmi" || cause == "budget")
			if cause == p.cause || waited {
				r.Survived += n
			} else if n > 0 {
				return fmt.Errorf("%s: %d faults of cause %s", name, n, cause)
			}
		}
	}
	if more, err := grown(mark, slack); err != nil {
		return err
	} else if more {
		r.Leaks++
	}
	switch {
	case r.Leaks > 0:
		return fmt.Errorf("%d leaks", r.Leaks)
	case r.Survived != r.Runs:
		return fmt.Errorf("%d of %v runs were faults of cause %s", r.Survived, calls, p.cause)
	case calls[0] != p.runs*uint64(cpus) || calls[1] != p.runs*uint64(cpus) || calls[2] == 0 && p.runs >= enough:
		return fmt.Errorf("%v calls", calls)
	// The others are over before an interrupt comes, or keep it off.
	case p.name == "loop" && deepest < 2:
		return fmt.Errorf("no program interrupted another: at most %d at a time", deepest)
	}
	r.Deepest = deepest
	return nil
}
