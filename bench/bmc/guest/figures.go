// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/iupkg/iupkg/bench/bmc/frames"
	"github.com/iupkg/iupkg/bench/wire"
	"github.com/iupkg/iupkg/internal/sideload"
	"golang.org/x/sys/unix"
)

// absent is a key without an item, so that no cache ever has it.
const absent = "item:none:000000"

func setItems() error {
	c, err := net.Dial("tcp", "10.1.0.1:11211")
	if err != nil {
		return err
	}
	defer c.Close()
	in := bufio.NewReader(c)
	set := func(key string, size int) error {
		if _, err := fmt.Fprintf(c, "set %s 0 0 %d\r\n%s\r\n", key, size, strings.Repeat("x", size)); err != nil {
			return err
		}
		if line, err := in.ReadString('\n'); err != nil || line != "STORED\r\n" {
			return fmt.Errorf("set %s: %q, %w", key, line, err)
		}
		return nil
	}
	for _, size := range frames.Sizes {
		if err := set(frames.Key(size), size); err != nil {
			return err
		}
	}
	for i := range slices.Max(spreads) {
		if err := set(many(i), frames.Sizes[0]); err != nil {
			return err
		}
	}
	return nil
}

type bench struct {
	harness *ebpf.Collection
	report  wire.Report
}

func (b *bench) add(f wire.Figure) { b.report.Figures = append(b.report.Figures, f) }

func (b *bench) answers() (n uint64, err error) {
	err = b.harness.Maps["answers"].Lookup(uint32(0), &n)
	return n, err
}

// live sends copies of frames at the client's end, by a program of the harness.
func (b *bench) live(by string, frame []byte, copies int) error {
	const liveFrames = 2 // BPF_F_TEST_XDP_LIVE_FRAMES
	_, err := b.harness.Programs[by].Run(&ebpf.RunOptions{Data: frame, Repeat: uint32(copies), Flags: liveFrames})
	return err
}

// shot is a frame that is sent so many times.
type shot struct {
	frame  []byte
	copies int
}

var errUnanswered = errors.New("requests went unanswered")

// round sends copies of frames, those of one shot after those of another, and waits until each shot was answered;
// nanoseconds, which are instructions, from the first frame of a shot to the last answer to it.
// What making and ending such a run of a program takes is not counted: the kernel sleeps in it, and when all do the
// clock jumps to the next tick.
func (b *bench) round(by string, shots []shot) (total uint64, err error) {
	for _, s := range shots {
		if s.copies == 0 {
			continue
		}
		t, err := b.fire(by, s)
		if err != nil {
			return 0, err
		}
		total += t
	}
	return total, nil
}

func (b *bench) fire(by string, s shot) (uint64, error) {
	before, err := b.answers()
	if err != nil {
		return 0, err
	}
	times := b.harness.Maps["times"]
	if err := times.Put(uint32(0), uint64(0)); err != nil {
		return 0, err
	}
	if err := b.live(by, s.frame, s.copies); err != nil {
		return 0, err
	}
	for n := 0; ; n++ {
		now, err := b.answers()
		if err != nil {
			return 0, err
		}
		if now-before >= uint64(s.copies) {
			break
		}
		if n > 20000 {
			return 0, fmt.Errorf("%w: %d of %d came", errUnanswered, now-before, s.copies)
		}
		// Whoever has work to do does it now.
		if _, _, errno := unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0); errno != 0 {
			return 0, errno
		}
	}
	var first, last uint64
	err = errors.Join(times.Lookup(uint32(0), &first), times.Lookup(uint32(1), &last))
	if err == nil && (first == 0 || last <= first) {
		err = fmt.Errorf("sent at %d, answered at %d", first, last)
	}
	return last - first, err
}

// settle is what bmc is told of how long memcached may take.
const settle = 10 * time.Millisecond

// copies is how many requests are under way at once: what fits the buffer of a socket,
// in which each takes a page.
const copies = 40

// path is the cost of one request of those, the least of several rounds.
func (b *bench) path(shots []shot) (float64, error) {
	total := 0
	for _, s := range shots {
		total += s.copies
	}
	least := ^uint64(0)
	for range 15 {
		t, err := b.round("generate", shots)
		if err != nil {
			return 0, err
		}
		least = min(least, t)
	}
	return float64(least) / float64(total), nil
}

// each is the cost of one request if so many keys are asked for in turn, the least of some turns after the one that
// fills the cache.
func (b *bench) each(keys int) (float64, error) {
	turn := b.harness.Maps["turn"]
	if err := errors.Join(turn.Put(uint32(0), uint32(keys)), turn.Put(uint32(1), uint32(0))); err != nil {
		return 0, err
	}
	least := ^uint64(0)
	for pass := range 4 {
		total := uint64(0)
		for asked := 0; asked < keys; asked += copies {
			n := min(copies, keys-asked)
			t, err := b.round("spread", []shot{{frames.Get(many(0)), n}})
			if err != nil {
				return 0, err
			}
			total += t
		}
		if pass > 0 {
			least = min(least, total)
		}
	}
	return float64(least) / float64(keys), nil
}

// alone is the cost of one run of a program on a frame, the least of many.
func alone(p *ebpf.Program, frame []byte, verdict uint32) (float64, error) {
	least := ^uint32(0)
	for range 60 {
		ret, t, err := p.Benchmark(frame, 1, func() {})
		if err != nil {
			return 0, err
		}
		if ret != verdict {
			return 0, fmt.Errorf("%s returned %d, want %d", p, ret, verdict)
		}
		least = min(least, uint32(t.Nanoseconds()))
	}
	return float64(least), nil
}

// measured is what a server's requests cost.
type measured struct {
	alone  map[int]float64 // a run on a hit, by size; what an empty program takes is subtracted
	path   map[int]float64 // from the client's end and back
	ratio  map[int]float64 // the same, if so many of a hundred are in the cache
	spread map[int]float64 // the same for so many keys, each asked for once
	memory float64         // bytes of its cache's map for each item that it has room for
}

// ratios are of requests whose item is in the cache, percent.
var ratios = []int{50, 90, 100}

// spreads are numbers of different keys, the last more than the caches have room for.
var spreads = []int{64, 1024, 8192}

// many is the key of item i of those.
func many(i int) string { return fmt.Sprintf("item:many:%06d", i) }

func (b *bench) measure(s *server, zero float64) (m measured, err error) {
	m = measured{map[int]float64{}, map[int]float64{}, map[int]float64{}, map[int]float64{}, s.memory}
	// bmc takes nothing in until what was under way when it first saw a packet has been carried out.
	if _, err := b.round("generate", []shot{{frames.Get(absent), 1}}); err != nil {
		return m, fmt.Errorf("%s: %w", s.name, err)
	}
	time.Sleep(3 * settle)
	for _, size := range frames.Sizes {
		f := frames.Get(frames.Key(size))
		// The first is memcached's to answer, and fills.
		for range 3 {
			if _, err := b.round("generate", []shot{{f, 1}}); err != nil {
				return m, fmt.Errorf("%s: %w", s.name, err)
			}
		}
		if s.hit != nil {
			if m.alone[size], err = alone(s.hit, f, frames.XDPTx); err != nil {
				return m, fmt.Errorf("%s: %w", s.name, err)
			}
			m.alone[size] -= zero
		}
		if m.path[size], err = b.path([]shot{{f, copies}}); err != nil {
			return m, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	for _, percent := range ratios {
		hits := copies * percent / 100
		mixed := []shot{{frames.Get(frames.Key(frames.Sizes[0])), hits}, {frames.Get(absent), copies - hits}}
		if m.ratio[percent], err = b.path(mixed); err != nil {
			return m, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	for _, keys := range spreads {
		if m.spread[keys], err = b.each(keys); err != nil {
			return m, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return m, nil
}

func measure(ctx context.Context, dir sideload.Folder) (*wire.Report, error) {
	b := &bench{}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return nil, err
	}
	b.report.Machine = map[string]string{"osrelease": strings.TrimSpace(string(release))}
	if b.harness, err = load(dir.File("harness.o")); err != nil {
		return nil, err
	}
	if b.report.Refused, err = refusals(dir.File("refused.o")); err != nil {
		return nil, err
	}
	if err := network(); err != nil {
		return nil, err
	}
	i, err := ifindex(clientEnd)
	if err != nil {
		return nil, err
	}
	if err := b.harness.Maps["out"].Put(uint32(0), uint32(i)); err != nil {
		return nil, err
	}
	counter, err := attachXDP(b.harness.Programs["answered"], clientEnd)
	if err != nil {
		return nil, err
	}
	defer counter.Close()
	if err := setItems(); err != nil {
		return nil, err
	}
	if err := dir.Ready(ctx); err != nil {
		return nil, err
	}
	zero, err := alone(b.harness.Programs["empty"], frames.Get("x"), frames.XDPPass)
	if err != nil {
		return nil, err
	}
	servers := []func() (*server, error){
		func() (*server, error) { return echoServer(b.harness) },
		memcachedServer,
		func() (*server, error) { return ebpfServer(dir) },
		func() (*server, error) { return bmcServer(ctx, dir, "bmc") },
	}
	for _, m := range frames.Mechanisms {
		servers = append(servers, func() (*server, error) { return bmcServer(ctx, dir, frames.Without(m)) })
	}
	all := map[string]measured{}
	for _, start := range servers {
		s, err := start()
		if err != nil {
			return nil, err
		}
		m, err := b.measure(s, zero)
		if err := errors.Join(err, s.close()); err != nil {
			return nil, err
		}
		all[s.name] = m
		// Whatever an end of the pair does when a program goes.
		time.Sleep(50 * time.Millisecond)
	}
	b.figures(all)
	return &b.report, nil
}

func (b *bench) figures(all map[string]measured) {
	const instructions = "instructions"
	compare := func(name, unit string, value, baseline float64) {
		b.add(wire.Figure{Name: name, Unit: unit, Value: value, Baseline: &baseline})
	}
	for _, size := range frames.Sizes {
		suffix := frames.Suffix(size)
		echo := all["echo"].path[size]
		compare("bmc.get.hit"+suffix, instructions, all["bmc"].alone[size], all["ebpf"].alone[size])
		compare("bmc.get.memcached"+suffix, instructions, all["bmc"].path[size]-echo, all["memcached"].path[size]-echo)
		b.add(wire.Figure{Name: "bmc.get.ebpf" + suffix, Unit: instructions, Value: all["ebpf"].path[size] - echo})
	}
	// One instruction is one nanosecond of this machine's clock.
	load := func(name string, took func(m measured) float64) {
		compare("bmc.load."+name, "requests/s", 1e9/took(all["bmc"]), 1e9/took(all["memcached"]))
		compare("bmc.load."+name+".ebpf", "requests/s", 1e9/took(all["ebpf"]), 1e9/took(all["memcached"]))
	}
	for _, percent := range ratios {
		load(fmt.Sprintf("hit%d", percent), func(m measured) float64 { return m.ratio[percent] })
	}
	for _, keys := range spreads {
		load(fmt.Sprintf("keys%d", keys), func(m measured) float64 { return m.spread[keys] })
	}
	for _, m := range frames.Mechanisms {
		for _, size := range frames.Sizes {
			b.add(wire.Figure{Name: "bmc.cost." + m.Name + frames.Suffix(size), Unit: instructions,
				Value: all["bmc"].alone[size] - all[frames.Without(m)].alone[size]})
		}
	}
	compare("bmc.memory.item", "bytes", all["bmc"].memory, all["ebpf"].memory)
}
