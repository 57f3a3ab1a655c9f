// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/iupkg/iupkg/bench/bmc/frames"
	"github.com/iupkg/iupkg/internal/sideload/pack"
)

// measureUser times a hit on this machine's processor, in nanoseconds: bmc's machine code in user space
// (bench/bmc/user), and beside it the baseline in this machine's kernel, by BPF_PROG_TEST_RUN; and how many
// hits there are in a second on several of its cores at once.
// Where the kernel lets nobody load eBPF there is no baseline.
func measureUser(ctx context.Context, guest *pack.Folder) ([]result, error) {
	object, program := filepath.Join(guest.Dir, "user.o"), filepath.Join(guest.Dir, "user")
	err := errors.Join(
		pack.Command(ctx, "objcopy", "--globalize-symbol=iu_entry_rx", "--globalize-symbol=iu_entry_tx",
			"--rename-section", ".iu.map=iu_map", "--rename-section", ".iu.param=iu_param", filepath.Join(guest.Dir, "bmc.o"), object),
		pack.Command(ctx, "gcc", "-Wall", "-Werror", "-O2", "-pthread", "-static", "-no-pie", "-Wl,-z,noexecstack", "-I", "kernel/module",
			"-o", program, "bench/bmc/user/user.c", object))
	if err != nil {
		return nil, err
	}
	args := []string{program}
	for _, size := range frames.Sizes {
		args = append(args, strconv.Itoa(size))
	}
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	native := map[int]float64{}
	var all, scaled []result
	var one [2]float64 // hits a second of one thread
	for line := range bytes.Lines(out) {
		var size int
		var ns float64
		var threads int
		var rates [2]float64
		if _, err := fmt.Sscanf(string(line), "threads %d %g %g\n", &threads, &rates[0], &rates[1]); err == nil {
			if threads == 1 {
				one = rates
			}
			for i, suffix := range []string{"", ".shared"} {
				ratio := math.Round(rates[i]/one[i]*1e4) / 1e4
				scaled = append(scaled, result{Name: fmt.Sprintf("bmc.host.threads%d%s", threads, suffix), Unit: "hits/s", Value: rates[i], Baseline: &one[i], Ratio: &ratio})
			}
			continue
		}
		if _, err := fmt.Sscan(string(line), &size, &ns); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", program, line, err)
		}
		native[size] = ns
	}
	baseline, err := hostBaseline(guest.Dir)
	if err != nil {
		say("no eBPF on this machine, so no baseline in nanoseconds: %v", err)
	}
	for _, size := range frames.Sizes {
		r := result{Name: "bmc.host.hit" + frames.Suffix(size), Unit: "ns", Value: native[size]}
		if base, ok := baseline[size]; ok && base > 0 {
			ratio := float64(int(native[size]/base*1e4+0.5)) / 1e4
			r.Baseline, r.Ratio = &base, &ratio
		}
		all = append(all, r)
	}
	return append(all, scaled...), nil
}

// hostBaseline is what a hit of the baseline takes here, by size, the least of many runs, without what
// an empty program takes.
func hostBaseline(dir string) (map[int]float64, error) {
	load := func(name string) (*ebpf.Collection, error) {
		spec, err := ebpf.LoadCollectionSpec(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		return ebpf.NewCollection(spec)
	}
	c, err := load("bmc.bpf.o")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	h, err := load("harness.o")
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if err := frames.TieBaseline(c); err != nil {
		return nil, err
	}
	least := func(p *ebpf.Program, frame []byte, verdict uint32) (float64, error) {
		best := time.Hour
		for range 20_000 {
			got, t, err := p.Benchmark(frame, 1, func() {})
			if err != nil {
				return 0, err
			}
			if got != verdict {
				return 0, fmt.Errorf("%s returned %d, want %d", p, got, verdict)
			}
			best = min(best, t)
		}
		return float64(best.Nanoseconds()), nil
	}
	zero, err := least(h.Programs["empty"], frames.Get("x"), frames.XDPPass)
	if err != nil {
		return nil, err
	}
	all := map[int]float64{}
	for _, size := range frames.Sizes {
		reply := frames.Reply(frames.Key(size), strings.Repeat("x", size))
		if _, _, err := c.Programs["tx"].Test(reply); err != nil {
			return nil, err
		}
		ns, err := least(c.Programs["rx"], frames.Get(frames.Key(size)), frames.XDPTx)
		if err != nil {
			return nil, err
		}
		all[size] = ns - zero
	}
	return all, nil
}
