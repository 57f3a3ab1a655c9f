// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
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
	i := 0
	if err := m.underPackets(e.maps["counted"], r, func() error {
		i++
		next, err := kernel.Replace(ctx, now, specs[i%2])
		if err != nil {
			return err
		}
		if len(next.Notices) > 0 {
			return fmt.Errorf("%q", next.Notices)
		}
		now = next
		return nil
	}); err != nil {
		return err
	}
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

// underPackets does r.Runs turns, in which two versions take each other's place, while packets
// come in. Each of these must be counted by one of the two.
func (m *machine) underPackets(count *ebpf.Map, r *wire.Case, turn func() error) error {
	var before, counted [2]uint64
	read := func(to *[2]uint64) (err error) {
		for i := range to {
			err = errors.Join(err, count.Lookup(uint32(i), &to[i]))
		}
		return err
	}
	if err := read(&before); err != nil {
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
	var err error
	for i := uint64(0); i < r.Runs && err == nil; i++ {
		if err = turn(); err != nil {
			err = fmt.Errorf("cycle %d: %w", i, err)
		} else {
			r.Survived++
		}
	}
	stop.Store(true)
	r.Packets = <-sent
	select {
	case serr := <-failed:
		err = errors.Join(err, serr)
	default:
	}
	if err != nil {
		return err
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if err := read(&counted); err != nil {
			return err
		}
		for i := range counted {
			counted[i] -= before[i]
		}
		if counted[0]+counted[1] == r.Packets {
			break
		}
		if time.Since(began) > 5*time.Second {
			return fmt.Errorf("%d packets were sent, %v counted", r.Packets, counted)
		}
	}
	if counted[0] == 0 || counted[1] == 0 {
		return fmt.Errorf("of %d packets one version saw none: %v", r.Packets, counted)
	}
	return nil
}

// takeRuns is how often, on each of the kernels.
const takeRuns = 10_000

// takeCase is the step of a replacement that packets meet, alone: both versions are loaded and
// take each other's place in the slot.
func (m *machine) takeCase(ctx context.Context, dir sideload.Folder, runs uint64) wire.Case {
	r := wire.Case{Property: "replace-in-slot", Context: "softirq", Hook: "xdp", Runs: runs}
	err := func() error {
		a, err := newArena(ctx, dir)
		if err != nil {
			return err
		}
		second, i := &a.versions[1], 0
		err = with(func(d *kernel.Device) error {
			if err := a.load(d, second); err != nil {
				return err
			}
			return d.SetParam(second.id.Load(), 0, 1) // counts in a place of its own
		})
		if err == nil {
			err = m.underPackets(a.counted, &r, func() error {
				i++
				return with(func(d *kernel.Device) error { return a.attach(d, &a.versions[i%2]) })
			})
		}
		return errors.Join(err, a.close(ctx))
	}()
	if err != nil {
		r.Wrong = err.Error()
	}
	return r
}
