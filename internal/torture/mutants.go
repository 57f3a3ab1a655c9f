// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/iupkg/iupkg/internal/sideload/pack"
)

const (
	mutantRuns = 1_000_000 // by the checker's build for user space, under sanitizers
	mutantsOf  = "count-1" // whose mutants are tried in kernels
	sample     = 500       // so many of them
	apart      = 10        // each so many mutations
)

var fuzzed = regexp.MustCompile(`(?m)^fuzz: (\d+) mutated: (\d+) refused as objects, (\d+) as other images, (\d+) mapped the same$`)

// fuzz has the checker of objects refuse mutated ones, under ASan and UBSan. What maps the
// same bytes as the original may pass.
func (t *torture) fuzz(ctx context.Context) error {
	// They cost little beside the machines, so all are made at a tenth of the scale.
	n := min(mutantRuns, max(1000, int(10*mutantRuns*t.scale)))
	out, err := makeIn(ctx, "fuzz", fmt.Sprintf("N=%d", n))
	if err != nil {
		return err
	}
	m := fuzzed.FindStringSubmatch(out)
	if m == nil {
		return fmt.Errorf("no result in %q", out)
	}
	var count [4]uint64
	for i := range count {
		if count[i], err = strconv.ParseUint(m[i+1], 10, 64); err != nil {
			return err
		}
	}
	r := result{Name: "torture.mutants.user-space.checker", Kernel: "none", Value: count[0], Unit: "runs", Survived: count[1] + count[2] + count[3]}
	if count[0] != uint64(n) || r.Survived != r.Value {
		r.Wrong = m[0]
	}
	t.keep(r, fmt.Sprintf("%d refused, %d mapped the same", count[1]+count[2], count[3]))
	return nil
}

// mutants leaves a sample of mutated objects, signed, for the guest.
func (t *torture) mutants(ctx context.Context, f *pack.Folder) error {
	dir := filepath.Join(f.Dir, "mutants")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	to, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if _, err := makeIn(ctx, "mutants", "OBJECT="+filepath.Join(filepath.Dir(to), mutantsOf+".o"), "DIR="+to,
		fmt.Sprintf("N=%d", apart*max(20, int(sample*t.scale))), fmt.Sprintf("K=%d", apart)); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.o"))
	for _, file := range files {
		err = errors.Join(err, f.Sign(file))
	}
	return err
}

// makeIn makes a target of the checker's tests, whose make is no part of another's jobs.
func makeIn(ctx context.Context, target string, set ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "make", append([]string{"-s", "-C", filepath.Join("kernel", "module"), target}, set...)...)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out), nil
}
