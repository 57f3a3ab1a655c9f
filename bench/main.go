// SPDX-License-Identifier: Apache-2.0

// Bench measures what an extension costs beside the same work in eBPF, in
// instructions of a virtual machine that counts them (QEMU's TCG, one CPU, -icount shift=0,sleep=off):
// exact, and the same on every host. Each kernel is booted several times and
// the boots must agree. Beside that it times whole processes of bin/iupkg on the
// host (host.go); -only host measures just those.
//
// It runs in the repository's root, after `make build`. What the figures mean is said
// in docs/evaluation.md, whose table it writes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/iupkg/iupkg/bench/wire"
	"github.com/iupkg/iupkg/internal/sideload/pack"
	"github.com/iupkg/iupkg/internal/universe"
	"github.com/iupkg/iupkg/kernel/vm"
)

// icount makes one instruction one nanosecond, and does not wait for the host's clock.
const icount = "shift=0,sleep=off"

func main() {
	kernels := flag.String("kernels", "6.12 6.1", "kernels to boot; figures of all but the first get its name as a suffix")
	boots := flag.Int("boots", 2, "boots of each kernel")
	lib := flag.String("lib", filepath.Join("lib", "iupkg"), "folder with runtime/RELEASE/iu.ko")
	out := flag.String("out", filepath.Join("build", "bench.json"), "where the figures go")
	doc := flag.String("doc", filepath.Join("docs", "evaluation.md"), "document to update; empty: none")
	only := flag.String("only", "", "measure only guest, host, or one of the host's by name ("+hostNames()+"); other figures in the file stay. document: measure nothing, write the document")
	appended := flag.String("append", "", "added to the kernels' command lines")
	makeAt := flag.String("make-index", "", "only make the index of a universe, in this `folder`")
	supplyAt := flag.String("make-supply", "", "only make what the supply chain is measured with, in this `folder`")
	packages := flag.Int("packages", 10_000, "packages of that universe")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *supplyAt != "" {
		if err := makeSupply(ctx, *supplyAt); err != nil {
			fmt.Fprintln(os.Stderr, "bench: error:", err)
			os.Exit(1)
		}
		return
	}
	if *makeAt != "" {
		if err := makeIndex(ctx, *makeAt, universe.Make(*packages)); err != nil {
			fmt.Fprintln(os.Stderr, "bench: error:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctx, strings.Fields(*kernels), *boots, *lib, *out, *doc, *only, *appended); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kernels []string, boots int, lib, out, doc, only, appended string) error {
	dir := strings.TrimSuffix(out, filepath.Ext(out))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	r := newReport(ctx)
	if only != "" {
		var err error
		if r, err = earlier(ctx, out); err != nil {
			return err
		}
	}
	var unsteady error
	if only == "" || only == "guest" {
		r.Kernel, r.Machines = "", map[string]map[string]string{}
		var err error
		if unsteady, err = r.measureGuests(ctx, kernels, boots, lib, dir, appended); err != nil {
			return err
		}
	}
	var broken error
	if only != "guest" && only != "document" {
		broken = r.measureHost(ctx, dir, only)
	}
	// What was measured before something broke need not be measured again.
	if err := errors.Join(broken, writeJSON(out, r)); err != nil {
		return err
	}
	for _, f := range r.Results {
		say("%s", f)
	}
	if err := errors.Join(unsteady, r.missed()); err != nil {
		return err
	}
	if doc == "" {
		return nil
	}
	return r.updateDocument(doc)
}

func hostNames() string {
	var names []string
	for _, m := range hostMeasures {
		names = append(names, m.name)
	}
	return strings.Join(names, ", ")
}

// measureGuests boots each kernel. Where boots differ that must not, unsteady says
// so.
func (r *report) measureGuests(ctx context.Context, kernels []string, boots int, lib, dir, appended string) (unsteady, err error) {
	guest, err := prepare(ctx, dir)
	if err != nil {
		return nil, err
	}
	for i, k := range kernels {
		reports := make([]*wire.Report, boots)
		for n := range reports {
			say("%s, boot %d of %d", k, n+1, boots)
			if reports[n], err = boot(ctx, k, lib, guest, appended); err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			if err := writeJSON(filepath.Join(dir, fmt.Sprintf("raw-%s-%d.json", k, n+1)), reports[n]); err != nil {
				return nil, err
			}
		}
		suffix := ""
		if i > 0 {
			suffix = "." + k
		}
		r.add(suffix, reports)
		unsteady = errors.Join(unsteady, agree(k, reports))
	}
	return unsteady, nil
}

// boot measures once in a fresh machine.
func boot(ctx context.Context, name, lib string, guest *pack.Folder, appended string) (_ *wire.Report, err error) {
	k, err := vm.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := guest.Copy(filepath.Join(lib, "runtime", k.Release, "iu.ko")); err != nil {
		return nil, err
	}
	if err := guest.Module(ctx, k.Release, k.Image(), filepath.Join(filepath.Dir(guest.Dir), "module")); err != nil {
		return nil, err
	}
	m, err := vm.Start(ctx, vm.Config{
		Image: k, Icount: icount, NoNet: true, Append: appended,
		Shares: []vm.Share{{Host: guest.Dir, Guest: "/mnt/bench"}},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Stop()) }()
	// Out of the shared folder, whose pages come in when the host likes.
	text, err := m.Output(ctx, "sh", "-c", "cp -r /mnt/bench /tmp/bench && exec /tmp/bench/guest /tmp/bench")
	if err != nil {
		return nil, err
	}
	report := new(wire.Report)
	if err := json.Unmarshal([]byte(text), report); err != nil {
		return nil, fmt.Errorf("%w in %q", err, text)
	}
	log, err := m.Dmesg(ctx)
	if err != nil {
		return nil, err
	}
	if p := log.Problems(); len(p) > 0 {
		return nil, fmt.Errorf("the kernel complained %d times, first: %s", len(p), p[0])
	}
	return report, nil
}

func say(format string, args ...any) { fmt.Printf("bench: "+format+"\n", args...) }

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
