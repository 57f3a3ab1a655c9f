// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/iupkg/iupkg/internal/universe"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/resolve"
)

// sizes are the universes that solvers are measured on.
var sizes = []struct {
	name     string
	packages int
}{{"resolve.100", 100}, {"resolve.1k", 1000}, {"resolve.10k", 10_000}}

// measurePeers times solving alone, in a process that has all in memory: the resolver
// here, which also says why nothing newer was chosen, and pubgrub-rs
// (https://crates.io/crates/pubgrub) on the same problem, without the versions that do
// not fit the kernel, as it knows of no such thing. The crate is fetched when this runs.
func measurePeers(ctx context.Context, dir string) ([]result, error) {
	peer, err := buildPeer(ctx, dir)
	if err != nil {
		say("pubgrub-rs is not measured: %v", err)
	}
	var all []result
	for _, size := range sizes {
		packages := universe.Make(size.packages)
		took, plan, err := solveHere(ctx, packages)
		if err != nil {
			return nil, err
		}
		all = append(all, result{Name: size.name + ".solve", Value: ms(took), Unit: "ms"})
		if peer == "" {
			continue
		}
		theirs, chosen, err := solveThere(ctx, peer, packages)
		if err != nil {
			return nil, err
		}
		all = append(all, result{Name: size.name + ".solve.pubgrub-rs", Value: ms(theirs), Unit: "ms"})
		say("%s: %d packages here, %d by pubgrub-rs", size.name, plan, chosen)
	}
	return all, nil
}

func buildPeer(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "cargo", "build", "--release", "--quiet", "--manifest-path", filepath.Join("bench", "peer", "pubgrub", "Cargo.toml"), "--locked")
	cmd.Env = append(os.Environ(), "CARGO_TARGET_DIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return filepath.Join(dir, "release", "peer-pubgrub"), nil
}

// memory is a Source of what is there already.
type memory map[string][]manifest.Candidate

// Versions is resolve.Source.
func (m memory) Versions(_ context.Context, name string) ([]manifest.Candidate, error) {
	list, ok := m[name]
	if !ok {
		return nil, manifest.ErrUnknownPackage
	}
	return list, nil
}

// Providers is resolve.Source.
func (memory) Providers(context.Context, string) ([]string, error) { return nil, nil }

func solveHere(ctx context.Context, packages map[string][]manifest.Candidate) (median time.Duration, plan int, err error) {
	host := resolve.On(universe.Profile().Kernel(nil))
	var want []manifest.Spec
	for _, name := range universe.Wanted {
		want = append(want, manifest.Spec{Name: name})
	}
	var took []time.Duration
	for range hostRuns {
		began := time.Now()
		p, err := resolve.Solve(ctx, memory(packages), host, want, nil)
		if err != nil {
			return 0, 0, err
		}
		took = append(took, time.Since(began))
		plan = len(p.Packages)
	}
	slices.Sort(took)
	return took[len(took)/2], plan, nil
}

func solveThere(ctx context.Context, peer string, packages map[string][]manifest.Candidate) (median time.Duration, plan int, err error) {
	cmd := exec.CommandContext(ctx, peer, strconv.Itoa(hostRuns))
	text, err := problemText(packages)
	if err != nil {
		return 0, 0, err
	}
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", peer, err)
	}
	var took []time.Duration
	for line := range strings.Lines(string(out)) {
		var us int
		if _, err := fmt.Sscan(line, &us, &plan); err != nil {
			return 0, 0, fmt.Errorf("%s says %q: %w", peer, line, err)
		}
		took = append(took, time.Duration(us)*time.Microsecond)
	}
	if len(took) != hostRuns {
		return 0, 0, fmt.Errorf("%s ran %d times", peer, len(took))
	}
	slices.Sort(took)
	return took[len(took)/2], plan, nil
}

// problemText is the problem as the peer reads it: packages and versions as numbers,
// what is asked for as dependencies of package 0.
func problemText(packages map[string][]manifest.Candidate) (string, error) {
	number := func(name string) (int, error) {
		n, err := strconv.Atoi(strings.TrimPrefix(name, "p"))
		return n + 1, err
	}
	var b strings.Builder
	b.WriteString("0 0")
	for _, name := range universe.Wanted {
		n, err := number(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " %d 0 %d", n, universe.Versions)
	}
	host := resolve.On(universe.Profile().Kernel(nil))
	for name, list := range packages {
		n, err := number(name)
		if err != nil {
			return "", err
		}
		for v, c := range list {
			if len(host.Check(c.Requires)) > 0 {
				continue
			}
			fmt.Fprintf(&b, "\n%d %d", n, v)
			for dep, text := range c.Dependencies {
				q, err := number(dep)
				if err != nil {
					return "", err
				}
				from, to, err := between(packages[dep], text)
				if err != nil {
					return "", err
				}
				fmt.Fprintf(&b, " %d %d %d", q, from, to)
			}
		}
	}
	return b.String(), nil
}

// between is which versions of a list are in a constraint, by number; they have no
// gaps here.
func between(list []manifest.Candidate, text string) (from, to int, err error) {
	c, err := manifest.ParseConstraint(text)
	if err != nil {
		return 0, 0, err
	}
	in := make([]bool, len(list))
	for i := range list {
		v, err := manifest.ParseVersion(list[i].Version)
		if err != nil {
			return 0, 0, err
		}
		in[i] = c.Match(v)
	}
	from = slices.Index(in, true)
	if from < 0 {
		return 0, 0, nil
	}
	for to = from; to < len(in) && in[to]; to++ {
	}
	if slices.Contains(in[to:], true) {
		return 0, 0, fmt.Errorf("versions in %s have gaps", text)
	}
	return from, to, nil
}
