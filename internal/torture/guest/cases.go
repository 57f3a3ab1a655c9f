// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/internal/torture/point"
	"github.com/iupkg/iupkg/internal/torture/wire"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

// property is one thing that a program can do wrong.
type property struct {
	name  string
	mode  uint64 // as in ext/modes.rs
	cause string // of the fault; empty: none
	runs  uint64
}

// The runs of each are those of one context and hook; what all must come to on a
// kernel is checked in package torture.
var properties = []property{
	{"nothing", 0, "", 1_000},
	{"panic", 1, "panic", 1_000},
	{"loop", 2, "budget", 100},
	{"overflow", 3, "stack", 100},
	{"panic-lock", 4, "panic", 1_000},
	{"loop-lock", 5, "budget", 25},
	{"overflow-lock", 6, "stack", 100},
	{"loop-helper", 7, "budget", 25},
	{"second-lock", 8, "lock", 1_000},
	{"panic-record", 9, "panic", 1_000},
	{"panic-arena", 13, "panic", 1_000},
	{"panic-irqs", 14, "panic", 1_000},
	{"panic-rcu", 15, "panic", 1_000},
	{"panic-all", 10, "panic", 1_000},
	{"loop-all", 11, "budget", 25},
}

// budget is the programs': the least that leaves a run that does nothing wrong its time on a busy host.
const budget = "1ms"

// free is no property: a run that panics if something is held still.
var free = property{"free", 12, "", 1}

// testCase is a property in a context at a hook.
type testCase struct {
	property
	hook    string
	e       *extension
	program string
	driver
}

func (c *testCase) name() string { return c.property.name + "." + c.context + "." + c.hook }

// cases lists what can be done with the programs of an extension.
func cases(programs []manifest.Program, e *extension) []*testCase {
	var all []*testCase
	for _, p := range programs {
		for _, d := range drivers(p.Name) {
			for _, what := range properties {
				all = append(all, &testCase{what, string(p.Hook), e, p.Name, d})
			}
		}
	}
	return all
}

// drivers lists the contexts in which a program can be reached.
func drivers(program string) []driver {
	switch program {
	case "bad_xdp":
		return []driver{inTestRun(xdpTx, xdpDrop), live}
	case "bad_tc":
		return []driver{inTestRun(tcShot, tcOK), live}
	case "bad_lsm":
		return []driver{sockets}
	case "bad_uprobe":
		return []driver{functions}
	case "bad_page":
		return []driver{pages}
	case "bad_switch":
		return []driver{switches}
	case "bad_clock":
		return []driver{ticks}
	case "bad_egress":
		return []driver{sending}
	case "bad_ingress":
		return []driver{receiving}
	case "bad_connect":
		return []driver{connections}
	case "bad_filter":
		return []driver{filtered, filteredLate}
	}
	var all []driver
	for i := range point.Contexts {
		all = append(all, atPoint(uint32(i)))
	}
	return all
}

// What the programs return: after a fault, and otherwise.
const (
	xdpTx, xdpDrop = 3, 1
	tcShot, tcOK   = 2, 0
)

func (c *testCase) run(m *machine) wire.Case {
	r := wire.Case{Property: c.property.name, Context: c.context, Hook: c.hook, Runs: c.runs}
	if err := c.try(m, &r); err != nil {
		r.Wrong = err.Error()
	}
	return r
}

func (c *testCase) try(m *machine, r *wire.Case) error {
	if c.most > 0 {
		r.Runs = min(c.runs, c.most)
	}
	// Whatever is allocated once is not a leak.
	if err := c.once(m, min(r.Runs, 16), new(wire.Case)); err != nil {
		return err
	}
	mark, err := sideload.Memory()
	if err != nil {
		return err
	}
	before, err := objects()
	if err != nil {
		return err
	}
	if err := c.once(m, r.Runs, r); err != nil {
		return err
	}
	after, err := objects()
	if err != nil {
		return err
	}
	more, err := grown(mark, slack)
	if err != nil {
		return err
	}
	if more {
		r.Leaks++
	}
	if after > before {
		r.Leaks += after - before
	}
	if r.Leaks > 0 {
		return fmt.Errorf("%d leaks", r.Leaks)
	}
	c.property = free
	if err := c.once(m, 1, new(wire.Case)); err != nil {
		return fmt.Errorf("afterwards: %w", err)
	}
	return nil
}

// slack is KiB. Less than 10,000 of the smallest things that can leak, so all cases of an
// extension together are looked at again.
const slack = 256

// once does it n times and compares the program's counters with that.
func (c *testCase) once(m *machine, n uint64, r *wire.Case) error {
	before, err := c.e.status(c.program)
	if err != nil {
		return err
	}
	if err := c.e.drain(); err != nil {
		return err
	}
	if err := c.e.mode(c.program, c.mode); err != nil {
		return err
	}
	defer c.e.mode(c.program, 0)
	took, unbalanced, err := c.driver.run(m, c.e, c.program, n, c.cause != "")
	if err != nil {
		return err
	}
	r.Leaks += unbalanced
	after, err := c.settled(before, n)
	if err != nil {
		return err
	}
	ran := after.Runs - before.Runs
	if ran != n && !c.shared || ran < n {
		return fmt.Errorf("%d runs counted, were %d", ran, n)
	}
	r.Survived = n
	if c.cause != "" {
		r.Survived = after.Faults[c.cause] - before.Faults[c.cause]
	}
	for cause, count := range after.Faults {
		more := count - before.Faults[cause]
		switch {
		case cause == c.cause || more == 0:
		case cause == "budget" && c.cause != "" && c.shared:
			// Both CPUs do it at the same time, and the host stopped the one that has the lock.
			r.Survived += more
		default:
			return fmt.Errorf("%d faults of cause %s", more, cause)
		}
	}
	if r.Survived != n && !c.shared || r.Survived < n {
		return fmt.Errorf("%d faults of cause %s, want %d", r.Survived, c.cause, n)
	}
	r.Survived = min(r.Survived, n)
	if c.cause == "budget" && len(took) > 0 {
		slices.Sort(took)
		over := func(i int) float64 { return float64(took[i]-after.Budget) / float64(time.Millisecond) }
		r.OverrunMs = &[2]float64{over((len(took)*99+99)/100 - 1), over(len(took) - 1)}
	}
	return nil
}

// settled is the status once n faults have been counted: a run counts when it begins, its
// fault when it ends. The status as it is when that does not come.
func (c *testCase) settled(before kernel.ProgramStatus, n uint64) (kernel.ProgramStatus, error) {
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		s, err := c.e.status(c.program)
		if err != nil || c.cause == "" || s.Faults[c.cause]-before.Faults[c.cause] >= n || time.Since(began) > 5*time.Second {
			return s, err
		}
	}
}
