// SPDX-License-Identifier: Apache-2.0

// Torture does wrong all that an extension can do wrong, in every context that a
// hook can be reached in, over the stock kernels, and checks after each case that the kernel lives, has not complained, and
// has lost nothing. It runs in the repository's root, after make build, and
// writes build/torture.json.
//
// A case is PROPERTY.CONTEXT.HOOK. Its runs count as survived if each ended with the
// program's verdict and was counted with the cause that it should have.
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
	"io/fs"
	"os"
	"os/exec"
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
	flag.StringVar(&t.only, "only", "", "only cases whose name contains this")
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
	lib, out, only string
	scale          float64
	results        []result
	failed         int
}

// result is one line of torture.json.
type result struct {
	Name     string  `json:"name"`
	Kernel   string  `json:"kernel"`
	Value    uint64  `json:"value"`
	Unit     string  `json:"unit"`
	Survived uint64  `json:"survived"`
	Leaks    uint64  `json:"leaks"`
	Packets  uint64  `json:"packets,omitempty"`
	P99      float64 `json:"overrun_p99_ms,omitempty"`
	Max      float64 `json:"overrun_max_ms,omitempty"`
	Wrong    string  `json:"wrong,omitempty"`
}

func (t *torture) all(ctx context.Context, kernels []string) error {
	dir := strings.TrimSuffix(t.out, filepath.Ext(t.out))
	f, err := pack.New(filepath.Join(dir, "guest"))
	if err != nil {
		return err
	}
	ext, err := stage(dir)
	if err != nil {
		return err
	}
	if err := f.Extensions(ctx, ext); err != nil {
		return err
	}
	if err := f.Program(ctx, "./internal/torture/guest"); err != nil {
		return err
	}
	for _, k := range kernels {
		// A kernel that dies takes its other cases with it, but not those of the others.
		if err := t.boot(ctx, k, dir, f); err != nil {
			t.failed++
			say("%s: %v", k, err)
		}
	}
	if err := t.write(); err != nil {
		return err
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

// stage copies the extensions' sources. What they have in common is a link there, and
// a project is built from its own folder alone. They stay as deep below the root as they were, for the
// path to the crate.
func stage(dir string) (string, error) {
	from, to := filepath.Join("internal", "torture", "ext"), filepath.Join(dir, "ext")
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	return to, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out := filepath.Join(to, strings.TrimPrefix(path, from))
		if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
			return err
		}
		return os.WriteFile(out, b, 0o644)
	})
}

// boot runs the cases in a machine with a kernel.
func (t *torture) boot(ctx context.Context, name, dir string, f *pack.Folder) (err error) {
	k, err := vm.Find(ctx, name)
	if err != nil {
		return err
	}
	if err := f.Copy(filepath.Join(t.lib, "runtime", k.Release, "iu.ko")); err != nil {
		return err
	}
	built := filepath.Join(dir, "module", k.Release)
	if err := pack.Command(ctx, filepath.Join("kernel", "module", "build.sh"), k.Release, "/usr/src/linux-headers-"+k.Release, k.Image(),
		built, filepath.Join("kernel", "module", "torture"), "iu_torture"); err != nil {
		return err
	}
	if err := f.Copy(filepath.Join(built, "iu_torture.ko")); err != nil {
		return err
	}
	m, err := vm.Start(ctx, vm.Config{Image: k, CPUs: 2, NoNet: true, Shares: []vm.Share{{Host: f.Dir, Guest: "/mnt/torture"}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Stop()) }()
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
	for line := range lines {
		var c wire.Case
		if err := json.Unmarshal(line, &c); err != nil {
			return fmt.Errorf("%w in %q", err, line)
		}
		problems, err := complaints(ctx, m, &seen)
		if err != nil {
			return err
		}
		if len(problems) > 0 && c.Wrong == "" {
			c.Wrong = fmt.Sprintf("the kernel complained %d times, first: %s", len(problems), problems[0])
		}
		t.add(k.Release, c)
	}
	return <-ended
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
		Survived: c.Survived, Leaks: c.Leaks, Packets: c.Packets, Wrong: c.Wrong}
	over := ""
	if c.OverrunMs != nil {
		r.P99, r.Max = c.OverrunMs[0], c.OverrunMs[1]
		over = fmt.Sprintf("  over the budget by %.3f ms (p99), %.3f ms (most)", r.P99, r.Max)
	}
	if c.Packets > 0 {
		over = fmt.Sprintf("  %d packets, none lost", c.Packets)
	}
	t.results = append(t.results, r)
	verdict := "ok"
	if c.Wrong != "" {
		t.failed++
		verdict = "FAILED: " + c.Wrong
	}
	say("%-40s %6d runs %6d survived %d leaks%s  %s", r.Name, r.Value, r.Survived, r.Leaks, over, verdict)
}

func (t *torture) write() error {
	project, _ := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output()
	b, err := json.MarshalIndent(struct {
		Schema  int      `json:"schema"`
		Project string   `json:"project"`
		Results []result `json:"results"`
	}{1, strings.TrimSpace(string(project)), t.results}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(t.out, append(b, '\n'), 0o644)
}

func say(format string, args ...any) { fmt.Printf("torture: "+format+"\n", args...) }
