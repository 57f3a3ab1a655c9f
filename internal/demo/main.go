// SPDX-License-Identifier: Apache-2.0

// Command demo goes the whole road once: it publishes bmc to a registry of its
// own, boots a stock kernel, installs bmc in it, and lets a memcached client
// outside the machine find out whether that worked. It prints what happens,
// fails at the first thing that is not as it should be, and leaves its figures
// in build/demo.json.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	kernels := flag.String("kernels", "6.12,6.1", "kernels to go the road on, in order")
	src := flag.String("src", ".", "the repository")
	seconds := flag.Int("seconds", 5, "length of one measurement of the request rate")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx, *src, strings.Split(*kernels, ","), time.Duration(*seconds)*time.Second); err != nil {
		fmt.Fprintf(os.Stderr, "demo: error: %v\n", err)
		os.Exit(1)
	}
}

var began = time.Now()

// say prints one line of the demo's own.
func say(format string, args ...any) {
	fmt.Printf("[%6.1fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}

func demo(ctx context.Context, src string, kernels []string, measure time.Duration) (err error) {
	src, err = filepath.Abs(src)
	if err != nil {
		return err
	}
	build := filepath.Join(src, "build")
	p := &publisher{bin: filepath.Join(src, "bin", "iupkg"), src: src, dir: filepath.Join(build, "demo")}
	if err := os.RemoveAll(filepath.Join(p.dir, "registry")); err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}

	say("a registry on this machine's loopback")
	addr, stopRegistry, err := p.serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopRegistry()) }()

	say("publish bmc %s", strings.Join(versions(), ", "))
	if err := p.publishAll(ctx, "http://"+addr+"/iupkg"); err != nil {
		return err
	}

	out := newReport(src)
	for i, kernel := range kernels {
		r := &road{publisher: p, kernel: kernel, registryPort: addr[strings.LastIndexByte(addr, ':')+1:], measure: measure, out: out}
		if i > 0 {
			r.suffix = "." + kernel
		}
		if err := r.run(ctx); err != nil {
			return fmt.Errorf("on Linux %s: %w", kernel, err)
		}
	}
	out.add("demo.seconds", time.Since(began).Seconds(), "s")
	path := filepath.Join(build, "demo.json")
	if err := out.write(path); err != nil {
		return err
	}
	say("done: all of the road on Linux %s; figures in build/demo.json", strings.Join(kernels, " and "))
	return nil
}

func versions() []string {
	var vs []string
	for _, r := range releases {
		vs = append(vs, r.version)
	}
	return vs
}
