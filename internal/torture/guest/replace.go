// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/internal/torture/wire"
	"github.com/iupkg/iupkg/kernel"
)

// replaceRuns is how often, on each of the kernels: see package torture for what all come to.
const replaceRuns = 2_500

// replaceCase lets two versions take turns under live packets. Each version counts in
// a counter of its own of the map that both have: a packet that neither or both saw
// would show in the sum.
func (m *machine) replaceCase(ctx context.Context, dir sideload.Folder, runs uint64) wire.Case {
	r := wire.Case{Property: "replace", Context: "softirq", Hook: "xdp", Runs: runs}
	if err := m.replace(ctx, dir, &r); err != nil {
		r.Wrong = err.Error()
	}
	return r
}

func (m *machine) replace(ctx context.Context, dir sideload.Folder, r *wire.Case) error {
	// Most of a cycle is waiting for readers; a kernel in a hurry closes the windows that races need
	// no less, and leaves time for more cycles.
	const hurry = "/sys/kernel/rcu_expedited"
	if err := os.WriteFile(hurry, []byte("1"), 0); err != nil {
		return err
	}
	defer os.WriteFile(hurry, []byte("0"), 0)
	var specs [2]kernel.LoadSpec
	for i := range specs {
		var err error
		if specs[i], err = dir.Spec(fmt.Sprintf("count-%d", i+1)); err != nil {
			return err
		}
		specs[i].Params["which"] = fmt.Sprint(i)
	}
	idle, err := objects()
	if err != nil {
		return err
	}
	e, err := load(ctx, specs[0])
	if err != nil {
		return err
	}
	now := e.Loaded
	// One turn each, after which whatever is allocated once is there.
	for i := range 2 {
		if now, err = kernel.Replace(ctx, now, specs[(i+1)%2]); err != nil {
			return err
		}
	}
	mark, err := sideload.Memory()
	if err != nil {
		return err
	}
	var stop atomic.Bool
	sent := make(chan uint64)
	failed := make(chan error, 1)
	go func() {
		var n uint64
		for !stop.Load() {
			if err := m.send("xdp", 8); err != nil {
				failed <- err
				break
			}
			n += 8
			time.Sleep(200 * time.Microsecond) // the pair's queue is short
		}
		sent <- n
	}()
	for i := range r.Runs {
		next, err := kernel.Replace(ctx, now, specs[(i+1)%2])
		if err != nil {
			stop.Store(true)
			return fmt.Errorf("cycle %d: %w", i, err)
		}
		if len(next.Notices) > 0 {
			stop.Store(true)
			return fmt.Errorf("cycle %d: %q", i, next.Notices)
		}
		now = next
		r.Survived++
	}
	stop.Store(true)
	n := <-sent
	select {
	case err := <-failed:
		return err
	default:
	}
	var counted [2]uint64
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		for i := range counted {
			if err := e.maps["counted"].Lookup(uint32(i), &counted[i]); err != nil {
				return err
			}
		}
		if counted[0]+counted[1] == n {
			break
		}
		if time.Since(began) > 5*time.Second {
			return fmt.Errorf("%d packets were sent, %v counted", n, counted)
		}
	}
	if counted[0] == 0 || counted[1] == 0 {
		return fmt.Errorf("of %d packets one version saw none: %v", n, counted)
	}
	r.Packets = n
	more, err := grown(mark, slack)
	if err != nil {
		return err
	}
	if more {
		r.Leaks++
	}
	e.Loaded = now
	if err := e.unload(ctx); err != nil {
		return err
	}
	for range 100 {
		left, err := objects()
		if err != nil {
			return err
		}
		if left <= idle {
			break
		}
		r.Leaks = left - idle
		time.Sleep(20 * time.Millisecond)
	}
	if r.Leaks > 0 {
		return fmt.Errorf("%d leaks", r.Leaks)
	}
	return nil
}
