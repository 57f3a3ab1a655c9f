// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/iupkg/iupkg/bench/wire"
)

const (
	instructions = "instructions"
	xdpPass      = 2
	xdpTx        = 3
)

// cost is the instructions of one run of a program.
//
// The kernel times a loop of runs and says how long one took, rounded down. A
// loop is short enough to fall between two ticks of the timer, and long enough that
// what is around it vanishes in the rounding; the least of many is one that
// nothing interrupted.
func (b *bench) cost(p *ebpf.Program, packet []byte, verdict uint32) (float64, error) {
	const budget = 500_000 // instructions in a loop
	least := uint32(0)
	repeat := 200
	for try := range 40 {
		for _, r := range b.rings {
			r.empty()
		}
		ret, t, err := run(p, packet, repeat)
		if err != nil {
			return 0, err
		}
		if ret != verdict {
			return 0, fmt.Errorf("%s returned %d, want %d", p, ret, verdict)
		}
		if try == 0 || t < least {
			least = t
		}
		if try == 4 {
			repeat = min(max(budget/int(least+1), 50), 10_000)
		}
	}
	return float64(least), nil
}

// all measures everything but the load.
func (b *bench) all() error {
	zero, err := b.cost(b.ebpf["empty"], packet(0), xdpPass)
	if err != nil {
		return err
	}
	b.add(wire.Figure{Name: "run.empty.ebpf", Value: zero, Unit: instructions})
	for _, f := range []struct{ name, ext string }{
		{"dispatch.empty.noswitch.extra", "empty"},
		{"dispatch.fault.noswitch.extra", "empty-fault"},
		{"dispatch.empty.switch.extra", "empty-switch"},
		{"dispatch.fault.switch.extra", "empty-fault-switch"},
	} {
		v, err := b.cost(b.native[f.ext+"/empty"], packet(0), xdpPass)
		if err != nil {
			return err
		}
		b.compare(f.name, v-zero, zero)
	}
	for _, f := range []struct{ name, with, without string }{
		{"guard.poll", "polled", "unpolled"},
		{"guard.stack", "checked", "unchecked"},
	} {
		with, err := b.perTurn(b.native["work/"+f.with])
		if err != nil {
			return err
		}
		without, err := b.perTurn(b.native["work/"+f.without])
		if err != nil {
			return err
		}
		b.add(wire.Figure{Name: f.name, Value: with - without, Unit: instructions})
	}
	for _, f := range []struct{ name, program string }{
		{"map.array.lookup", "array_lookup"},
		{"map.hash.lookup", "hash_lookup"},
		{"lock.pair", "lock_pair"},
		{"ringbuf.reserve_commit", "ring_reserve"},
	} {
		v, err := b.perTurn(b.native["work/"+f.program])
		if err != nil {
			return err
		}
		base, err := b.perTurn(b.ebpf[f.program])
		if err != nil {
			return err
		}
		b.compare(f.name, v, base)
	}
	// Whole runs, dispatch included, over that of the empty eBPF program.
	for _, f := range []struct {
		name, ext, program string
		packet             []byte
		verdict            uint32
	}{
		{"packet.parse_rewrite", "rewrite", "parse_rewrite", datagram(), xdpTx},
		{"recursion.33", "work", "recursion", packet(0), xdpPass},
	} {
		v, err := b.cost(b.native[f.ext+"/"+f.program], f.packet, f.verdict)
		if err != nil {
			return err
		}
		base, err := b.cost(b.ebpf[f.program], f.packet, f.verdict)
		if err != nil {
			return err
		}
		b.compare(f.name, v-zero, base-zero)
	}
	v, err := b.cost(b.native["work/panics"], packet(0), xdpPass)
	if err != nil {
		return err
	}
	b.add(wire.Figure{Name: "panic.to_return", Value: v - zero, Unit: instructions})
	return nil
}

// perTurn is what one more turn of a program's loop costs; the packet's first
// byte is the number of turns.
func (b *bench) perTurn(p *ebpf.Program) (float64, error) {
	const few, many = 8, 56
	least, err := b.cost(p, packet(few), xdpPass)
	if err != nil {
		return 0, err
	}
	most, err := b.cost(p, packet(many), xdpPass)
	return (most - least) / (many - few), err
}

// packet is one that nobody parses, with turns in its first byte.
func packet(turns byte) []byte {
	p := make([]byte, 64)
	p[0] = turns
	return p
}

// datagram is 22 bytes of UDP over IPv4 over Ethernet.
func datagram() []byte {
	return append([]byte{
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 0, 50, 0, 1, 0, 0, 17, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
		0x10, 0, 0x20, 0, 0, 30, 0, 0,
	}, make([]byte, 22)...)
}

func (b *bench) add(f wire.Figure) { b.report.Figures = append(b.report.Figures, f) }

func (b *bench) compare(name string, value, baseline float64) {
	b.add(wire.Figure{Name: name, Value: value, Unit: instructions, Baseline: &baseline})
}
