// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/iupkg/iupkg/bench/wire"
	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/internal/torture/point"
	"github.com/iupkg/iupkg/kernel"
)

const (
	// endless is the torture suite's extension whose programs run for ever if they are told to.
	endless = "function"
	budget  = time.Millisecond
)

// overrun measures how long runs that do not end go on after their budget: in each
// context, a loop without anything, one that holds a lock, one that calls helpers, and one that holds
// all that can be held, interrupts off. The figure is the worst context's.
func (b *bench) overrun(ctx context.Context) error {
	const each = 50
	d, err := point.Load(b.dir.File("iu_torture.ko"))
	if err != nil {
		return err
	}
	spec, err := b.dir.Spec(endless)
	if err != nil {
		return err
	}
	spec.Params["budget"] = budget.String()
	l, err := kernel.Load(ctx, spec)
	if err != nil {
		return err
	}
	var mode *ebpf.Map
	for _, m := range l.Maps {
		if m.Name == "mode" {
			if mode, err = ebpf.LoadPinnedMap(m.Pin, nil); err != nil {
				return err
			}
		}
	}
	if mode == nil {
		return fmt.Errorf("%s has no map of modes", endless)
	}
	worst := 0.0
	var figures []wire.Figure
	for i, name := range point.Contexts {
		var over []float64
		for _, what := range []uint64{2, 5, 7, 11} { // as in internal/torture/ext/modes.rs
			if err := mode.Put(uint32(0), what); err != nil {
				return err
			}
			took, _, err := d.Run(uint32(i), each)
			if err != nil {
				return err
			}
			for _, t := range took {
				over = append(over, (t-budget).Seconds()*1e3)
			}
		}
		slices.Sort(over)
		p99 := over[(len(over)*99+99)/100-1]
		if over[0] < 0 {
			return fmt.Errorf("in %s a run ended %.3f ms before its budget", name, -over[0])
		}
		worst = max(worst, p99)
		figures = append(figures, wire.Figure{Name: "termination.overrun.p99." + name, Value: p99, Unit: "ms"})
	}
	if err := mode.Put(uint32(0), uint64(0)); err != nil {
		return err
	}
	b.add(wire.Figure{Name: "termination.overrun.p99", Value: worst, Unit: "ms"})
	for _, f := range figures {
		b.add(f)
	}
	return kernel.Unload(ctx, l)
}

// memory measures what the kernel holds for an extension without maps that is not attached: code,
// its own and the stub's, counters of each CPU, bookkeeping. Stacks are one set for all.
func (b *bench) memory(ctx context.Context) error {
	spec, err := b.dir.Spec("empty")
	if err != nil {
		return err
	}
	var grown []float64
	for range 9 {
		if err := kernel.Unload(ctx, &kernel.Loaded{Name: spec.Manifest.Name}); err != nil {
			return err
		}
		before, err := sideload.Memory()
		if err != nil {
			return err
		}
		if _, err := kernel.Load(ctx, spec); err != nil {
			return err
		}
		after, err := sideload.Memory()
		if err != nil {
			return err
		}
		grown = append(grown, float64(after-before))
	}
	slices.Sort(grown)
	b.add(wire.Figure{Name: "memory.extension", Value: grown[len(grown)/2], Unit: "KiB"})
	d, err := kernel.OpenDevice()
	if err != nil {
		return err
	}
	defer d.Close()
	v, err := d.Version()
	if err != nil {
		return err
	}
	b.add(wire.Figure{Name: "memory.stacks", Value: float64(v.StackBytes) / 1024, Unit: "KiB"})
	return nil
}
