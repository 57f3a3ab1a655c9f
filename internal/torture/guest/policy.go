// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/internal/torture/wire"
	"github.com/iupkg/iupkg/kernel"
)

// policyCase is one extension, loaded with settings of its own, and what then becomes of a program.
type policyCase struct {
	property, context, hook string
	ext, program            string
	set                     map[string]string
	try                     func(m *machine, e *extension, r *wire.Case) error
}

func (c *policyCase) name() string { return c.property + "." + c.context + "." + c.hook }

func (c *policyCase) run(ctx context.Context, m *machine, dir sideload.Folder) wire.Case {
	r := wire.Case{Property: c.property, Context: c.context, Hook: c.hook}
	err := func() error {
		spec, err := dir.Spec(c.ext)
		if err != nil {
			return err
		}
		for k, v := range c.set {
			spec.Params[k] = v
		}
		e, err := load(ctx, spec)
		if err != nil {
			return err
		}
		err = c.try(m, e, &r)
		if uerr := e.unload(ctx); err == nil {
			err = uerr
		}
		return err
	}()
	if err != nil {
		r.Wrong = err.Error()
	}
	return r
}

var policyCases = []*policyCase{
	{"disable-after-3", "task", "fentry", "function", "bad_fentry", map[string]string{"faults": "3"}, disabled},
	{"pause-panics", "softirq", "xdp", "packet", "bad_xdp", map[string]string{"faults": "100/1s"}, paused(1, "panic", 100, 1_000)},
	{"pause-loops", "softirq", "xdp", "packet", "bad_xdp", map[string]string{"faults": "1000/1s", "budget": budget}, paused(2, "budget", 10, 300)},
	{"keep-running", "softirq", "tc", "packet", "bad_tc", nil, kept},
	{"stuck-in-helper", "task", "fentry", "function", "bad_fentry", map[string]string{"budget": budget}, stuckOn},
	{"stuck-in-helper", "irqs-off", "fentry", "function", "bad_fentry", map[string]string{"budget": budget}, stuckOff},
	{"stuck-and-paused", "irqs-off", "fentry", "function", "bad_fentry", map[string]string{"budget": budget, "faults": "1000/1s"}, stuckPaused},
}

// disabled: after three faults it runs no more, in one step.
func disabled(m *machine, e *extension, r *wire.Case) error {
	const n = 10
	if err := e.mode("bad_fentry", 1); err != nil {
		return err
	}
	if _, unbalanced, err := atPoint(0).run(m, e, "bad_fentry", n, true); err != nil || unbalanced > 0 {
		return fmt.Errorf("%d unbalanced, %w", unbalanced, err)
	}
	s, err := e.status("bad_fentry")
	if err != nil {
		return err
	}
	r.Runs, r.Survived = n, s.Faults["panic"]+s.Skipped
	if !s.Disabled || s.Paused || s.Faults["panic"] != 3 || s.Runs != 3 || s.Skipped != n-3 {
		return fmt.Errorf("%d runs, %d skipped, faults %v, disabled %v", s.Runs, s.Skipped, s.Faults, s.Disabled)
	}
	return nil
}

// paused: a peer sends packets of which each makes the program fault. It is paused when it has had
// `limit` faults in a window, and not later than that; it runs again after the window, whatever was sent.
func paused(mode uint64, cause string, limit, packets uint64) func(*machine, *extension, *wire.Case) error {
	return func(m *machine, e *extension, r *wire.Case) error {
		const window = time.Second
		if err := e.mode("bad_xdp", mode); err != nil {
			return err
		}
		began := time.Now()
		for i := uint64(0); i < packets; i++ {
			if err := m.send("xdp", 1); err != nil {
				return err
			}
			if i%16 == 15 {
				time.Sleep(time.Millisecond) // the pair's queue is short
			}
		}
		seen := func(s *kernel.ProgramStatus) uint64 { return s.Runs + s.Skipped }
		var s kernel.ProgramStatus
		for at := time.Now(); seen(&s) < packets; time.Sleep(time.Millisecond) {
			var err error
			if s, err = e.status("bad_xdp"); err != nil {
				return err
			}
			if time.Since(at) > 20*time.Second {
				return fmt.Errorf("%d of %d packets were seen", seen(&s), packets)
			}
		}
		windows := uint64(time.Since(began)/window) + 1
		r.Runs, r.Survived = packets, s.Faults[cause]+s.Skipped
		if s.Disabled || s.Faults[cause] != s.Runs || s.Faults[cause] < min(limit, packets) || s.Faults[cause] > windows*(limit+1) || s.Skipped == 0 {
			return fmt.Errorf("%d runs, %d skipped, faults %v in %d windows of %d", s.Runs, s.Skipped, s.Faults, windows, limit)
		}
		// A peer that behaves is served again.
		if err := e.mode("bad_xdp", 0); err != nil {
			return err
		}
		time.Sleep(window + 100*time.Millisecond)
		before := s
		if err := m.send("xdp", 8); err != nil {
			return err
		}
		for at := time.Now(); seen(&s) < seen(&before)+8; time.Sleep(time.Millisecond) {
			var err error
			if s, err = e.status("bad_xdp"); err != nil {
				return err
			}
			if time.Since(at) > 20*time.Second {
				break
			}
		}
		// The first call after the pause ends it.
		if s.Paused || s.Runs < before.Runs+7 || s.Faults[cause] != before.Faults[cause] {
			return fmt.Errorf("after the pause: %d runs of 8, faults %v, paused %v", s.Runs-before.Runs, s.Faults, s.Paused)
		}
		return nil
	}
}

// kept: any number of faults, never skipped.
func kept(m *machine, e *extension, r *wire.Case) error {
	c := &testCase{property{"", 1, "panic", 0}, "tc", e, "bad_tc", live}
	r.Runs = 20_000
	return c.once(m, r.Runs, r)
}

// stuckOn: a helper that takes 300 budgets is not left halfway, and the run ends when it returns.
func stuckOn(m *machine, e *extension, r *wire.Case) error {
	const long = 300 * time.Millisecond
	took, s, err := m.stuck(e, 0, long)
	if err != nil {
		return err
	}
	r.Runs, r.Survived = 1, s.Faults["budget"]
	// An emulated machine's delays are off by some factor, but not to one budget.
	if took < long/6 || took > long+time.Second || s.Faults["budget"] != 1 || s.Disabled {
		return fmt.Errorf("took %v, faults %v, disabled %v", took, s.Faults, s.Disabled)
	}
	return nil
}

// stuckOff: a helper that keeps interrupts off for seconds costs the program its place: another
// CPU disables it.
func stuckOff(m *machine, e *extension, r *wire.Case) error {
	const long = 4 * time.Second
	took, s, err := m.stuck(e, 1, long)
	if err != nil {
		return err
	}
	r.Runs, r.Survived = 1, s.Faults["budget"]
	if took < long/3 || s.Faults["budget"] != 1 || !s.Disabled {
		return fmt.Errorf("took %v, faults %v, disabled %v", took, s.Faults, s.Disabled)
	}
	return nil
}

// stuckPaused: the same with a policy that only pauses, as if a hypervisor had stopped the CPU.
// Seen from the other CPU the program is paused; when that is over it runs.
func stuckPaused(m *machine, e *extension, r *wire.Case) error {
	const long = 4 * time.Second
	over, paused := make(chan struct{}), make(chan bool)
	go func() {
		seen := false
		for {
			select {
			case <-over:
				paused <- seen
				return
			case <-time.After(50 * time.Millisecond):
				if s, err := e.status("bad_fentry"); err == nil && s.Paused {
					seen = true
				}
			}
		}
	}()
	_, s, err := m.stuck(e, 1, long)
	close(over)
	if seen := <-paused; err != nil || !seen || s.Disabled {
		return fmt.Errorf("paused meanwhile: %v, disabled afterwards: %v, %w", seen, s.Disabled, err)
	}
	time.Sleep(1500 * time.Millisecond)
	if _, _, err := atPoint(0).run(m, e, "bad_fentry", 3, false); err != nil {
		return err
	}
	after, err := e.status("bad_fentry")
	if err != nil {
		return err
	}
	r.Runs, r.Survived = 4, after.Runs-s.Runs+after.Skipped-s.Skipped+after.Faults["budget"]
	if after.Paused || after.Disabled || after.Runs-s.Runs < 2 || after.Faults["budget"] != 1 {
		return fmt.Errorf("afterwards %d runs of 3, %d skipped, faults %v", after.Runs-s.Runs, after.Skipped-s.Skipped, after.Faults)
	}
	return nil
}

// stuck makes one run in a context of iu_torture, in which an update of a map takes long.
func (m *machine) stuck(e *extension, context uint32, long time.Duration) (took time.Duration, s kernel.ProgramStatus, err error) {
	if err := m.point.Slow("htab_map_update_elem", long); err != nil {
		return 0, s, err
	}
	defer m.point.Slow("", 0)
	if err := e.mode("bad_fentry", 7); err != nil {
		return 0, s, err
	}
	all, _, err := atPoint(context).run(m, e, "bad_fentry", 1, true)
	if err != nil {
		return 0, s, err
	}
	if err := e.mode("bad_fentry", 0); err != nil {
		return 0, s, err
	}
	s, err = e.status("bad_fentry")
	return all[0], s, err
}
