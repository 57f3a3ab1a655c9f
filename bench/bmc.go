// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/iupkg/iupkg/internal/sideload/pack"
)

const (
	bmcProject  = "extensions/bmc"
	bmcBaseline = "bench/ebpf/bmc"
	bmcRefused  = "docs/bmc-verifier.md"
)

// measureBMC boots one machine, in which bmc, the same design in eBPF and memcached
// alone answer the same requests (bench/bmc/guest), and counts what it took to write the two.
func measureBMC(ctx context.Context, dir string) ([]result, error) {
	guest, err := pack.New(filepath.Join(dir, "guest"))
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := guest.Extension(ctx, iupkg, bmcProject); err != nil {
		return nil, err
	}
	native := time.Since(began)
	parts, err := filepath.Abs(filepath.Join(dir, "without"))
	if err != nil {
		return nil, err
	}
	if err := without(ctx, guest, parts); err != nil {
		return nil, err
	}
	var ebpf time.Duration
	for from, to := range map[string]string{"bmc": "bmc.bpf.o", "harness": "harness.o", "refused": "refused.o"} {
		began := time.Now()
		if err := pack.Command(ctx, "clang-22", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror",
			"-c", filepath.Join(bmcBaseline, from+".bpf.c"), "-o", filepath.Join(guest.Dir, to)); err != nil {
			return nil, err
		}
		if from == "bmc" {
			ebpf = time.Since(began)
		}
	}
	if err := guest.Program(ctx, "./bench/bmc/guest"); err != nil {
		return nil, err
	}
	report, err := boot(ctx, "6.12", filepath.Join("lib", "iupkg"), guest, "")
	if err != nil {
		return nil, err
	}
	var all []result
	for _, f := range report.Figures {
		r := result{Name: f.Name, Unit: f.Unit, Value: math.Round(f.Value), Baseline: f.Baseline}
		if f.Baseline != nil {
			base := math.Round(*f.Baseline)
			ratio := math.Round(f.Value / *f.Baseline * 1e4) / 1e4
			r.Baseline, r.Ratio = &base, &ratio
		}
		all = append(all, r)
	}
	more, err := expressiveness(native, ebpf)
	if err != nil {
		return nil, err
	}
	all = append(all, more...)
	if more, err = measureUser(ctx, guest); err != nil {
		return nil, err
	}
	return append(all, more...), refusedDocument(report.Machine["osrelease"], report.Refused)
}

// expressiveness counts what bmc and its baseline are written in; the baseline does less, see its head.
func expressiveness(native, ebpf time.Duration) ([]result, error) {
	rust, err := source(bmcProject+"/src", ".rs")
	if err != nil {
		return nil, err
	}
	c, err := source(bmcBaseline, "bmc.h", "bmc.bpf.c")
	if err != nil {
		return nil, err
	}
	count := func(text []byte, pattern string) float64 {
		return float64(len(regexp.MustCompile(pattern).FindAll(text, -1)))
	}
	compare := func(name, unit string, value, base float64) result {
		ratio := math.Round(value/base*1e4) / 1e4
		return result{Name: name, Unit: unit, Value: value, Baseline: &base, Ratio: &ratio}
	}
	return []result{
		compare("bmc.lines", "lines", codeLines(rust), codeLines(c)),
		compare("bmc.programs", "programs", count(rust, `(?m)^#\[(xdp|tc)`), count(c, `(?m)^SEC\("(xdp|tc)"\)`)),
		{Name: "bmc.ebpf.tail_calls", Unit: "calls", Value: count(c, `(?m)^\s+bpf_tail_call\(`)},
		compare("bmc.build", "s", math.Round(native.Seconds()*10)/10, math.Round(ebpf.Seconds()*10)/10),
	}, nil
}

// source is all files of a folder whose names end so, without tests.
func source(dir string, suffixes ...string) ([]byte, error) {
	var all []byte
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "tests" {
			return filepath.SkipDir
		}
		if !slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(path, s) }) {
			return nil
		}
		text, err := os.ReadFile(path)
		text, _, _ = bytes.Cut(text, []byte("\n#[cfg(test)]\npub mod tests"))
		text, _, _ = bytes.Cut(text, []byte("\n#[cfg(test)]\nmod tests {"))
		all = append(all, text...)
		return err
	})
	return all, err
}

// codeLines counts lines that are neither empty nor comments only.
func codeLines(text []byte) float64 {
	n, inComment := 0.0, false
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		switch {
		case inComment:
			inComment = !bytes.HasSuffix(line, []byte("*/"))
		case len(line) == 0, bytes.HasPrefix(line, []byte("//")):
		case bytes.HasPrefix(line, []byte("/*")):
			inComment = !bytes.HasSuffix(line, []byte("*/"))
		default:
			n++
		}
	}
	return n
}

// refusedDocument keeps what the verifier said of programs that one would write first.
func refusedDocument(release string, refused map[string]string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# What the verifier refuses of BMC

Written by `+"`make bench`"+` from `+"`%s/refused.bpf.c`"+`, on Linux %s: each program there is what one would write first,
and the end of the log with which it was refused. How the baseline gets by is said in `+"`bmc.bpf.c`"+` beside it. A reply put together
on the stack does not get as far: it has 512 bytes, and the compiler refuses more.
`, bmcBaseline, release)
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		if refused[name] == "accepted" {
			return fmt.Errorf("the verifier of %s accepts %s: it is no example any more", release, name)
		}
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n", name, refused[name])
	}
	return os.WriteFile(bmcRefused, b.Bytes(), 0o644)
}
