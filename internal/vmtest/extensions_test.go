// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/kernel/vm"
)

type ext struct {
	name  string
	check func(b *bed)
	// A parameter out of its range, and what the refusal must name.
	bad, says string
}

// exts are the extensions other than bmc, each with what checks it from outside, in a machine that
// has booted once for all.
var exts = []ext{
	{"syscall-latency", (*bed).syscallLatency, "every=0", "1000000"},
	{"sni-filter", (*bed).sniFilter, "port=65536", "65535"},
	{"matcher", (*bed).matcher, "port=65536", "65535"},
	{"errinject", (*bed).errinject, "errno=0", "133"},
	{"l4lb", (*bed).l4lb, "idle_s=0", "86400"},
	{"quorum", (*bed).quorum, "node=64", "63"},
}

// IUPKG_EXTS=NAME,... tries these only, IUPKG_EXTS_KERNEL=6.1 another kernel.
func TestExtensions(t *testing.T) {
	kernel := "6.12"
	if k := os.Getenv("IUPKG_EXTS_KERNEL"); k != "" {
		kernel = k
	}
	exts := slices.Clone(exts)
	if only := os.Getenv("IUPKG_EXTS"); only != "" {
		exts = slices.DeleteFunc(exts, func(x ext) bool { return !slices.Contains(strings.Split(only, ","), x.name) })
	}
	b := newBedOn(t, vm.Config{Kernel: kernel, CPUs: 2, MemMiB: 1024})
	for _, x := range exts {
		b.publish("extensions/"+x.name, x.name, nil)
	}
	b.run(0, nil, "setup")
	b.run(0, nil, "trust", "add", b.TrustFile())
	b.fabric()
	before := b.state()
	for _, x := range exts {
		name, _, _ := strings.Cut(x.bad, "=")
		b.run(2, []string{"iupkg: error: ", name, x.says}, "install", x.name, "--set", x.bad)
	}
	if after := b.state(); after != before {
		t.Errorf("refused parameters changed the machine\nbefore:\n%s\nafter:\n%s", before, after)
	}
	for _, x := range exts {
		t.Run(x.name, func(t *testing.T) {
			b.t = t
			x.check(b)
			if runs, faults := b.faults(x.name); runs == 0 || len(faults) > 0 {
				t.Errorf("%d runs, faults %v", runs, faults)
			}
			b.run(0, nil, "remove", x.name)
			b.shell("! grep ^iux_ /proc/modules")
		})
	}
	t.Run("refused", func(t *testing.T) {
		b.t = t
		b.refusedPrograms()
	})
	b.t = t
	b.checkLog()
}

// install installs an extension with parameters.
func (b *bed) install(name string, set ...string) {
	b.t.Helper()
	args := []string{"install", name}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	b.run(0, nil, args...)
}

// mapBytes reads a value of an extension's map by bpftool; key is in hex, byte by byte.
func (b *bed) mapBytes(name, m, key string) []byte {
	b.t.Helper()
	text := b.shell(fmt.Sprintf("bpftool -j map lookup pinned /sys/fs/bpf/iupkg/%s/maps/%s key hex %s", name, m, key))
	var row struct {
		Value  []string `json:"value"`
		Values []struct {
			Value []string `json:"value"`
		} `json:"values"`
	}
	if err := json.Unmarshal([]byte(text), &row); err != nil {
		b.t.Fatalf("%v: %s", err, text)
	}
	var raw []byte
	for _, hex := range row.Value {
		n, err := strconv.ParseUint(strings.TrimPrefix(hex, "0x"), 16, 8)
		if err != nil {
			b.t.Fatal(err)
		}
		raw = append(raw, byte(n))
	}
	return raw
}

// setMap is the command that writes an entry of an extension's map, bytes in hex.
func setMap(name, m, key, value string) string {
	return fmt.Sprintf("bpftool map update pinned /sys/fs/bpf/iupkg/%s/maps/%s key hex %s value hex %s\n", name, m, key, value)
}

// text is a text as bytes in hex, with zeros up to size.
func text(s string, size int) string {
	raw := make([]byte, size)
	copy(raw, s)
	return fmt.Sprintf("% x", raw)
}

// le is a number as bpftool takes the bytes of a key or value.
func le(n uint64, size int) string {
	var hex []string
	for range size {
		hex = append(hex, fmt.Sprintf("%02x", byte(n)))
		n >>= 8
	}
	return strings.Join(hex, " ")
}

// word reads number i of an extension's array of 64-bit numbers.
func (b *bed) word(name, m string, i int) uint64 {
	b.t.Helper()
	var n uint64
	for at, c := range b.mapBytes(name, m, le(uint64(i), 4)) {
		n |= uint64(c) << (8 * at)
	}
	return n
}

// counters are an extension's, by name, as `iupkg status` has them.
func (b *bed) counters(name string) map[string]uint64 {
	b.t.Helper()
	var all []struct {
		Counters map[string][]struct {
			Name  string `json:"name"`
			Value uint64 `json:"value"`
		} `json:"counters"`
	}
	if err := json.Unmarshal([]byte(b.run(0, nil, "status", name, "--json").Stdout), &all); err != nil {
		b.t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, s := range all {
		for _, list := range s.Counters {
			for _, c := range list {
				counts[c.Name] = c.Value
			}
		}
	}
	return counts
}

func (b *bed) syscallLatency() {
	b.install("syscall-latency", "every=10")
	b.shell("for i in $(seq 30); do sleep 0.02; done")
	// clock_nanosleep is 230 on x86-64; a row has 8 numbers, and row 0 is of all calls.
	const row, ms = 231 * 8, 1_000_000
	calls, sum := b.word("syscall-latency", "latency", row), b.word("syscall-latency", "latency", row+1)
	p50, p999 := b.word("syscall-latency", "latency", row+2), b.word("syscall-latency", "latency", row+5)
	if calls < 30 || sum < calls*20*ms {
		b.t.Errorf("%d sleeps of %d ns in all", calls, sum)
	}
	if p50 < 20*ms || p50 > 500*ms || p999 < p50 {
		b.t.Errorf("a sleep of 20 ms takes %d ns (p99.9 %d)", p50, p999)
	}
	if all := b.counters("syscall-latency"); all["calls"] < 1000 || all["p50_ns"] == 0 || all["p50_ns"] >= 20*ms || all["max_ns"] < 20*ms {
		b.t.Errorf("all calls: %v", all)
	}
}

func (b *bed) errinject() {
	b.install("errinject")
	b.shell("cp " + b.peer + " victim; cp victim bystander")
	// Not below /, an overlay, where one open asks twice: the second time for the file beneath.
	const file = "/run/read-me"
	b.shell("echo text >" + file + "; stat -f -c %T " + file + " | grep -x tmpfs")
	reads := func(who string, n int, said string) int {
		return strings.Count(b.shell(fmt.Sprintf("./%s read %s %d", who, file, n)), said)
	}
	rule := func(operations, errno, perMillion, limit uint64) string {
		return setMap("errinject", "targets", le(0, 4), strings.Join([]string{
			text("victim", 16), le(0, 4), le(operations, 4), le(errno, 4), le(perMillion, 4), le(0, 8), le(limit, 8),
		}, " "))
	}
	const open, read = 1, 2
	b.shell(rule(read, 5, 1_000_000, 0))
	if n := reads("victim", 10, "read "+file+": input/output error"); n != 10 {
		b.t.Errorf("%d of 10 reads failed", n)
	}
	if n := reads("bystander", 10, "read\n"); n != 10 {
		b.t.Errorf("%d of 10 reads of another succeeded", n)
	}
	b.shell(rule(open, 23, 500_000, 0))
	if n := reads("victim", 100, "open "+file+": too many open files in system"); n < 25 || n > 75 {
		b.t.Errorf("%d of 100 opens failed, of which half should", n)
	}
	// Counted from the first open on, that of the run before included.
	done := b.word("errinject", "progress", 1)
	b.shell(rule(open, 13, 1_000_000, done+20))
	if n := reads("victim", 100, "permission denied"); n < 10 || n > 20 {
		b.t.Errorf("%d opens failed, of which 20 should, those of the start included", n)
	}
	if c := b.counters("errinject"); c["read"] < 10 || c["open"] < 45 || c["connect"] != 0 {
		b.t.Errorf("counters: %v", c)
	}
}
