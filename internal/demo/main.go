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

	"github.com/iupkg/iupkg/internal/testbed"
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
	p := &testbed.Publisher{Src: src, Dir: filepath.Join(build, "demo"), Say: say}
	say("a registry on this machine's loopback, and keys")
	if err := p.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	for _, r := range releases {
		say("publish bmc %s", r.version)
		dir, err := r.project(p)
		if err != nil {
			return err
		}
		if err := p.Publish(ctx, dir); err != nil {
			return err
		}
	}

	out := newReport(src)
	for i, kernel := range kernels {
		r := &road{Publisher: p, kernel: kernel, measure: measure, out: out}
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

// release is one version of bmc that the demo publishes. They differ in what
// they ask of the kernel, so that the resolver has something to choose from.
type release struct {
	version string
	kernel  string // release = …
	config  string // one more Kconfig expression
}

var releases = []release{
	{version: "1.2.0", kernel: ">=6.1"},
	{version: "1.2.1", kernel: ">=6.1"},
	{version: "1.3.0", kernel: ">=6.1", config: "FUNCTION_ERROR_INJECTION=y"},
	{version: "2.0.0", kernel: ">=6.99"},
}

// project makes the source of a release.
func (r release) project(p *testbed.Publisher) (string, error) {
	edits := map[string]string{
		`version = "1.2.1"`: fmt.Sprintf("version = %q", r.version),
		`release = ">=6.1"`: fmt.Sprintf("release = %q", r.kernel),
	}
	if r.config != "" {
		edits[`"NET_CLS_ACT"]`] = fmt.Sprintf(`"NET_CLS_ACT", %q]`, r.config)
	}
	return p.CopyProject("extensions/bmc", "bmc-"+r.version, edits)
}
