// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/iupkg/iupkg/internal/testbed"
	"github.com/iupkg/iupkg/kernel/vm"
)

// road is one kernel's journey from boot to a clean removal.
type road struct {
	*testbed.Publisher
	kernel  string
	measure time.Duration
	out     *report
	suffix  string // of the names of figures: none for the first kernel

	m     *vm.Machine
	mc    *memcached
	want  map[string][]byte // what the items must be
	alone load              // memcached without the extension, one request of ten for what is not there
}

const memcachedPort = 11211

func (r *road) run(ctx context.Context) (err error) {
	console, err := os.Create(filepath.Join(r.Dir, "console-"+r.kernel+".log"))
	if err != nil {
		return err
	}
	defer console.Close()
	say("boot a stock %s kernel in QEMU: two CPUs, a virtio network card", r.kernel)
	r.m, err = vm.Start(ctx, vm.Config{
		Kernel: r.kernel, CPUs: 2, MemMiB: 2048, Console: console,
		Forwards: []vm.Forward{{Proto: "tcp", Guest: memcachedPort}, {Proto: "udp", Guest: memcachedPort}},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.m.Stop()) }()
	say("%s is up after %.1f s (%s)", r.m.Kernel.Release, r.m.BootTime.Seconds(), r.m.Accel)
	r.out.Kernel = strings.TrimPrefix(r.out.Kernel+", "+r.m.Kernel.Release, ", ")
	r.out.add("demo.boot"+r.suffix, r.m.BootTime.Seconds(), "s")

	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"start memcached in the machine", r.startMemcached},
		{"set items over TCP, get them over UDP, without the extension", r.plainTraffic},
		{"make the machine able to run extensions, and trust the publisher", r.setup},
		{"why this version", r.explain},
		{"install", r.install},
		{"traffic through the extension", r.cachedTraffic},
		{"what is installed", r.inspect},
		{"remove", r.remove},
		{"the kernel's log", r.checkLog},
	} {
		say("%s: %s", r.m.Kernel.Release, step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return r.mc.Close()
}

// guest runs a command in the machine and shows it with what it prints.
func (r *road) guest(ctx context.Context, argv ...string) (string, error) {
	say("  # %s", strings.Join(argv, " "))
	var out, all bytes.Buffer
	show := &indent{to: os.Stdout}
	code, err := r.m.Exec(ctx, vm.Cmd{
		Argv:   argv,
		Stdout: io.MultiWriter(&out, &all, show),
		Stderr: io.MultiWriter(&all, show),
	})
	show.flush()
	if err == nil && code != 0 {
		err = fmt.Errorf("%s: exit %d: %s", strings.Join(argv, " "), code, all.String())
	}
	return out.String(), err
}

func (r *road) iupkgThere(ctx context.Context, args ...string) (string, error) {
	return r.guest(ctx, append([]string{r.IUPkg(), "--registry", r.GuestRegistry(), "--no-progress"}, args...)...)
}

func (r *road) startMemcached(ctx context.Context) error {
	_, err := r.guest(ctx, "memcached", "-d", "-u", "nobody", "-l", "10.0.2.15", "-p", "11211", "-U", "11211", "-m", "64", "-t", "2")
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		r.mc, err = dialMemcached(r.m.Addr("tcp", memcachedPort), r.m.Addr("udp", memcachedPort))
		if err == nil {
			// A forwarded port takes connections before anyone listens behind it.
			if _, err = r.mc.command("version\r\n"); err == nil {
				return nil
			}
			err = errors.Join(err, r.mc.Close())
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// redial makes a new connection for changes, as the one from before the
// extension is not followed from its start.
func (r *road) redial() error {
	if err := r.mc.Close(); err != nil {
		return err
	}
	var err error
	r.mc, err = dialMemcached(r.m.Addr("tcp", memcachedPort), r.m.Addr("udp", memcachedPort))
	return err
}

const items = 200

// setItems gives every item a new value. The longest just fit the 1400 bytes that
// memcached puts into one datagram.
func (r *road) setItems() error {
	r.want = make(map[string][]byte, items)
	for i := range items {
		value := make([]byte, i*11/2)
		for j := range value {
			value[j] = byte(rand.IntN(256))
		}
		key := fmt.Sprintf("item:%d:%s", i, strings.Repeat("k", i))
		if err := r.mc.set(key, value); err != nil {
			return err
		}
		r.want[key] = value
	}
	return nil
}

// getItems reads every item and compares it byte for byte.
func (r *road) getItems() error {
	reader, err := r.mc.reader()
	if err != nil {
		return err
	}
	defer reader.Close()
	for key, value := range r.want {
		got, err := reader.get(key)
		if err != nil {
			return fmt.Errorf("get %s: %w", key, err)
		}
		if !bytes.Equal(got[key], value) {
			return fmt.Errorf("get %s: %d bytes came back that are not the %d that were set", key, len(got[key]), len(value))
		}
	}
	return nil
}

const clients = 4

func (r *road) plainTraffic(context.Context) error {
	if err := r.setItems(); err != nil {
		return err
	}
	if err := r.getItems(); err != nil {
		return err
	}
	all, err := r.mc.load(clients, r.measure, r.want, false)
	if err != nil {
		return err
	}
	if r.alone, err = r.mc.load(clients, r.measure, r.want, true); err != nil {
		return err
	}
	say("  memcached alone: %.0f requests/s", all.rate)
	r.out.add("demo.rate.memcached"+r.suffix, all.rate, "requests/s")
	return nil
}

func (r *road) setup(ctx context.Context) error {
	if _, err := r.iupkgThere(ctx, "setup"); err != nil {
		return err
	}
	_, err := r.iupkgThere(ctx, "trust", "add", r.TrustFile(), "--names", "bmc")
	return err
}

// explain checks that the newest version that fits is chosen and that the two
// newer ones are turned down for what they ask of the kernel.
func (r *road) explain(ctx context.Context) error {
	out, err := r.guest(ctx, "sh", "-c", fmt.Sprintf("%s --registry %s resolve bmc --verbose 2>&1", r.IUPkg(), r.GuestRegistry()))
	if err != nil {
		return err
	}
	for _, part := range []string{"1.2.1", "1.3.0", "FUNCTION_ERROR_INJECTION", "2.0.0", "6.99"} {
		if !strings.Contains(out, part) {
			return fmt.Errorf("the explanation does not mention %s", part)
		}
	}
	return nil
}

func (r *road) install(ctx context.Context) error {
	start := time.Now()
	if _, err := r.iupkgThere(ctx, "install", "bmc@1.2", "--set", "iface=eth0"); err != nil {
		return err
	}
	r.out.add("demo.install"+r.suffix, time.Since(start).Seconds(), "s")
	out, err := r.iupkgThere(ctx, "list", "--json")
	if err != nil {
		return err
	}
	if !strings.Contains(out, `"1.2.1"`) {
		return errors.New("bmc 1.2.1 is not in the list")
	}
	return nil
}

// counters reads the extension's own counts from its pinned map.
func (r *road) counters(ctx context.Context) (counts [9]uint64, err error) {
	var out bytes.Buffer
	code, err := r.m.Exec(ctx, vm.Cmd{
		Argv:   []string{"bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/iupkg/bmc/maps/stats"},
		Stdout: &out, Stderr: os.Stderr,
	})
	if err != nil || code != 0 {
		return counts, errors.Join(err, fmt.Errorf("bpftool map dump: exit %d", code))
	}
	var rows []struct {
		Key    []string `json:"key"`
		Values []struct {
			Value []string `json:"value"`
		} `json:"values"`
	}
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
		return counts, err
	}
	for i, row := range rows {
		for _, cpu := range row.Values {
			var n uint64
			for b, hex := range cpu.Value {
				var x uint64
				if _, err := fmt.Sscanf(hex, "0x%x", &x); err != nil {
					return counts, err
				}
				n |= x << (8 * b)
			}
			if i < len(counts) {
				counts[i] += n
			}
		}
	}
	return counts, nil
}

func (r *road) cachedTraffic(ctx context.Context) error {
	// A client from before: what is set before the extension watches is never taken over, for want of its expiry.
	if err := r.getItems(); err != nil {
		return err
	}
	c, err := r.counters(ctx)
	if err != nil {
		return err
	}
	if c[2] != 0 {
		return fmt.Errorf("%d items of unknown expiry were taken over", c[2])
	}
	if err := r.redial(); err != nil {
		return err
	}
	if err := r.setItems(); err != nil {
		return err
	}
	// It starts to fill once whatever was under way at its installation has been carried out.
	time.Sleep(1500 * time.Millisecond)
	if err := r.getItems(); err != nil { // fills
		return err
	}
	seen, err := r.mc.stat("cmd_get")
	if err != nil {
		return err
	}
	if err := r.getItems(); err != nil { // hits
		return err
	}
	seenAfter, err := r.mc.stat("cmd_get")
	if err != nil {
		return err
	}
	if c, err = r.counters(ctx); err != nil {
		return err
	}
	say("  %d gets after the cache was filled: memcached saw %d, the extension answered %d", items, seenAfter-seen, c[0])
	if seenAfter != seen || c[0] != items {
		return errors.New("not every hit was answered by the extension alone")
	}

	if err := r.setItems(); err != nil { // invalidates
		return err
	}
	if err := r.getItems(); err != nil {
		return fmt.Errorf("after new values were set: %w", err)
	}
	if err := r.multiGet(); err != nil {
		return err
	}

	all, err := r.mc.load(clients, r.measure, r.want, false)
	if err != nil {
		return err
	}
	hit90, err := r.mc.load(clients, r.measure, r.want, true)
	if err != nil {
		return err
	}
	rate := all.rate
	c, err = r.counters(ctx)
	if err != nil {
		return err
	}
	base := r.out.Results[len(r.out.Results)-1]
	for _, res := range r.out.Results {
		if res.Name == "demo.rate.memcached"+r.suffix {
			base = res
		}
	}
	say("  with the extension: %.0f requests/s, %.2f times memcached alone", rate, rate/base.Value)
	say("  hits %d, misses %d, items taken over %d (not: %d overtaken by changes, %d of unknown expiry), changes seen %d, flushes %d, segments lost %d, no room %d",
		c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8])
	say("  one request of ten for what is not there: %.0f requests/s (alone %.0f), median %v (%v), 99%% within %v (%v)",
		hit90.rate, r.alone.rate, hit90.p50, r.alone.p50, hit90.p99, r.alone.p99)
	r.out.compare("demo.rate.bmc"+r.suffix, rate, base.Value, "requests/s")
	r.out.compare("demo.hit90.rate"+r.suffix, hit90.rate, r.alone.rate, "requests/s")
	r.out.compare("demo.hit90.p50"+r.suffix, ms(hit90.p50), ms(r.alone.p50), "ms")
	r.out.compare("demo.hit90.p99"+r.suffix, ms(hit90.p99), ms(r.alone.p99), "ms")
	r.out.add("demo.hits"+r.suffix, float64(c[0]), "requests")
	r.out.add("demo.misses"+r.suffix, float64(c[1]), "requests")
	r.out.add("demo.fills"+r.suffix, float64(c[2]), "items")
	r.out.add("demo.changes"+r.suffix, float64(c[5]), "keys")
	return nil
}

// multiGet reads several items at once: first in part, then wholly in the cache.
func (r *road) multiGet() error {
	reader, err := r.mc.reader()
	if err != nil {
		return err
	}
	defer reader.Close()
	want := map[string][]byte{"multi:a": []byte("one"), "multi:b": {}, "multi:c": []byte("three\r\nlines\r\n")}
	for key, value := range want {
		if err := r.mc.set(key, value); err != nil {
			return err
		}
	}
	for range 2 {
		got, err := reader.get("multi:a", "multi:b", "multi:c")
		if err != nil {
			return fmt.Errorf("multi-get: %w", err)
		}
		for key, value := range want {
			if !bytes.Equal(got[key], value) {
				return fmt.Errorf("multi-get: %s is %q", key, got[key])
			}
		}
	}
	return nil
}

func (r *road) inspect(ctx context.Context) error {
	if _, err := r.iupkgThere(ctx, "list"); err != nil {
		return err
	}
	if _, err := r.iupkgThere(ctx, "status", "bmc"); err != nil {
		return err
	}
	_, err := r.iupkgThere(ctx, "verify", "bmc")
	return err
}

// remove checks that nothing of the extension is left and that clients notice nothing.
func (r *road) remove(ctx context.Context) error {
	if _, err := r.iupkgThere(ctx, "remove", "bmc"); err != nil {
		return err
	}
	if err := r.getItems(); err != nil {
		return fmt.Errorf("after the removal: %w", err)
	}
	left, err := r.guest(ctx, "sh", "-c", `
		ls /sys/fs/bpf/iupkg 2>/dev/null
		grep '^iux_' /proc/modules
		bpftool net show dev eth0 | grep -E 'iupkg|iu_|generic id|driver id|clsact|tcx'
		bpftool map show | grep -wE 'cache|stats|eras|changing|times|conns|asks'
		true`)
	if err != nil {
		return err
	}
	if strings.TrimSpace(left) != "" {
		return errors.New("something was left behind")
	}
	return nil
}

func (r *road) checkLog(ctx context.Context) error {
	log, err := r.m.Dmesg(ctx)
	if err != nil {
		return err
	}
	path := filepath.Join(r.Dir, "dmesg-"+r.kernel+".log")
	if err := os.WriteFile(path, []byte(log.String()), 0o644); err != nil {
		return err
	}
	if bad := log.Problems(); len(bad) > 0 {
		return fmt.Errorf("it is not clean:\n%s", strings.Join(bad, "\n"))
	}
	say("  clean")
	return nil
}

// indent sets what commands print apart from what the demo says.
type indent struct {
	to   io.Writer
	line []byte
}

func (w *indent) Write(p []byte) (int, error) {
	w.line = append(w.line, p...)
	for {
		i := bytes.IndexByte(w.line, '\n')
		if i < 0 {
			return len(p), nil
		}
		if _, err := fmt.Fprintf(w.to, "            %s\n", w.line[:i]); err != nil {
			return 0, err
		}
		w.line = w.line[i+1:]
	}
}

func (w *indent) flush() {
	if len(w.line) > 0 {
		fmt.Fprintf(w.to, "            %s\n", w.line)
		w.line = nil
	}
}
