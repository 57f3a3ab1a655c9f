// SPDX-License-Identifier: Apache-2.0

// Torture does wrong all that an extension can do wrong, in every context that a
// hook can be reached in, over the stock kernels, and checks after each case that the kernel lives, has not complained, and
// has lost nothing. It runs in the repository's root, after make build, and
// writes build/torture.json, and with -doc the tables of docs/torture.md.
//
// A case is PROPERTY.CONTEXT.HOOK. Its runs count as survived if each ended with the
// program's verdict and was counted with the cause that it should have. The run fails
// too if what all cases come to is less than the totals in report.go.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/iupkg/iupkg/internal/sideload/pack"
	"github.com/iupkg/iupkg/internal/torture/wire"
	"github.com/iupkg/iupkg/kernel/vm"
)

func main() {
	t := &torture{}
	flag.StringVar(&t.lib, "lib", filepath.Join("lib", "iupkg"), "folder with runtime/RELEASE/iu.ko")
	flag.StringVar(&t.out, "out", filepath.Join("build", "torture.json"), "where the results go")
	flag.Float64Var(&t.scale, "scale", 1, "factor on the number of runs")
	flag.StringVar(&t.only, "only", "", "only cases whose name contains one of these, between commas")
	flag.StringVar(&t.doc, "doc", "", "document to update; empty: none")
	flag.BoolVar(&t.more, "more", false, "keep what is in the file of other cases and kernels")
	flag.BoolVar(&t.built, "built", false, "take the extensions that the last run has built")
	kernels := flag.String("kernels", "6.12 6.1", "kernels to boot")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := t.all(ctx, strings.Fields(*kernels)); err != nil {
		fmt.Fprintln(os.Stderr, "torture: error:", err)
		os.Exit(1)
	}
}

type torture struct {
	lib, out, only, doc string
	more, built         bool
	scale               float64
	results             []result
	failed              int
}

func (t *torture) all(ctx context.Context, kernels []string) error {
	if t.more {
		if err := t.earlier(); err != nil {
			return err
		}
	}
	f, err := t.prepare(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Dir(f.Dir)
	for _, k := range kernels {
		// A kernel that dies takes its other cases with it, but not those of the others.
		if err := t.boot(ctx, k, dir, f); err != nil {
			t.failed++
			say("%s: %v", k, err)
		}
	}
	if t.only == "" || t.more {
		t.sum()
	}
	if err := t.write(); err != nil {
		return err
	}
	if t.doc != "" {
		if err := t.document(t.doc); err != nil {
			return err
		}
	}
	for _, r := range t.results {
		if r.Wrong != "" {
			t.failed++
		}
	}
	if t.failed > 0 {
		return fmt.Errorf("%d failures", t.failed)
	}
	if len(t.results) == 0 {
		return fmt.Errorf("no case has %q in its name", t.only)
	}
	say("all %d cases passed", len(t.results))
	return nil
}

// prepare makes the folder that the guest has: extensions, mutated objects, its program. The
// checker's build for user space is made for that, so it has its turn here.
func (t *torture) prepare(ctx context.Context) (*pack.Folder, error) {
	dir := strings.TrimSuffix(t.out, filepath.Ext(t.out))
	if t.built {
		f, err := pack.Open(filepath.Join(dir, "guest"))
		if err != nil {
			return nil, err
		}
		return f, f.Program(ctx, guestProgram)
	}
	f, err := pack.New(filepath.Join(dir, "guest"))
	if err != nil {
		return nil, err
	}
	ext := filepath.Join(dir, "ext")
	if err := pack.Stage(filepath.Join("internal", "torture", "ext"), ext); err != nil {
		return nil, err
	}
	if err := f.Extensions(ctx, ext); err != nil {
		return nil, err
	}
	if err := f.Program(ctx, guestProgram); err != nil {
		return nil, err
	}
	if t.only == "" {
		if err := t.fuzz(ctx); err != nil {
			return nil, err
		}
	}
	return f, t.mutants(ctx, f)
}

const guestProgram = "./internal/torture/guest"

// boot runs the cases in a machine with a kernel.
func (t *torture) boot(ctx context.Context, name, dir string, f *pack.Folder) (err error) {
	k, err := vm.Find(ctx, name)
	if err != nil {
		return err
	}
	if err := f.Copy(filepath.Join(t.lib, "runtime", k.Release, "iu.ko")); err != nil {
		return err
	}
	if err := f.Module(ctx, k.Release, k.Image(), filepath.Join(dir, "module")); err != nil {
		return err
	}
	m, err := vm.Start(ctx, vm.Config{Image: k, CPUs: 2, NoNet: true, Shares: []vm.Share{{Host: f.Dir, Guest: "/mnt/torture"}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Stop()) }()
	began := time.Now()
	defer func() { say("%s: %v", k.Release, time.Since(began).Round(time.Second)) }()
	say("%s is up in %.1f s with %s", k.Release, m.BootTime.Seconds(), m.Accel)

	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		var stderr strings.Builder
		code, err := m.Exec(ctx, vm.Cmd{Argv: []string{"/mnt/torture/guest", "-scale", fmt.Sprint(t.scale), "-only", t.only, "/mnt/torture"},
			Stdout: in, Stderr: &stderr})
		if err == nil && code != 0 {
			err = fmt.Errorf("exit %d: %s", code, strings.TrimSpace(stderr.String()))
		}
		in.Close()
		ended <- err
	}()
	// With room for all of them: what reads a command's output must not wait for another command.
	lines := make(chan []byte, 4096)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- bytes.Clone(s.Bytes())
		}
		close(lines)
	}()
	seen := 0
	looked := time.Now()
	for line := range lines {
		var c wire.Case
		if err := json.Unmarshal(line, &c); err != nil {
			return fmt.Errorf("%w in %q", err, line)
		}
		// The whole log each time: not for every case of a few milliseconds.
		if time.Since(looked) > 3*time.Second {
			problems, err := complaints(ctx, m, &seen)
			if err != nil {
				return err
			}
			if len(problems) > 0 && c.Wrong == "" {
				c.Wrong = fmt.Sprintf("the kernel complained %d times since the last look, first: %s", len(problems), problems[0])
			}
			looked = time.Now()
		}
		t.add(k.Release, c)
	}
	problems, err := complaints(ctx, m, &seen)
	if len(problems) > 0 {
		err = errors.Join(err, fmt.Errorf("the kernel complained %d times in the end, first: %s", len(problems), problems[0]))
	}
	return errors.Join(<-ended, err)
}

// complaints are the kernel's since it was last asked.
func complaints(ctx context.Context, m *vm.Machine, seen *int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	log, err := m.Dmesg(ctx)
	if err != nil {
		return nil, err
	}
	all := log.Problems()
	fresh := all[min(*seen, len(all)):]
	*seen = len(all)
	return fresh, nil
}

func (t *torture) add(release string, c wire.Case) {
	r := result{Name: "torture." + c.Property + "." + c.Context + "." + c.Hook, Kernel: release, Value: c.Runs, Unit: "runs",
		Survived: c.Survived, Leaks: c.Leaks, Packets: c.Packets, Deepest: c.Deepest, Steps: c.Steps, Wrong: c.Wrong}
	var more []string
	if c.OverrunMs != nil {
		r.P99, r.Max = c.OverrunMs[0], c.OverrunMs[1]
		more = append(more, fmt.Sprintf("over the budget by %.3f ms (p99), %.3f ms (most)", r.P99, r.Max))
	}
	if c.Packets > 0 {
		more = append(more, fmt.Sprintf("%d packets, none lost", c.Packets))
	}
	if c.Deepest > 0 {
		more = append(more, fmt.Sprintf("%d at a time", c.Deepest))
	}
	if c.Steps > 0 {
		more = append(more, fmt.Sprintf("%d steps", c.Steps))
	}
	t.keep(r, strings.Join(more, ", "))
}

func say(format string, args ...any) { fmt.Printf("torture: "+format+"\n", args...) }
