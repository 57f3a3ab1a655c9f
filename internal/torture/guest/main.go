// SPDX-License-Identifier: Apache-2.0

// Guest tortures the runtime of the machine that it runs in: see package
// torture. It wants a folder as of package sideload, with iu_torture.ko in it,
// and prints one wire.Case a line. Never run it on a machine that matters.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/internal/torture/wire"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

func main() {
	scale := flag.Float64("scale", 1, "factor on the number of runs")
	only := flag.String("only", "", "only cases whose name contains one of these, between commas")
	loads := flag.String("load", "", "only load and unload an extension, for ever")
	flag.Parse()
	if *loads != "" {
		fmt.Fprintln(os.Stderr, loadForever(context.Background(), sideload.Folder(flag.Arg(0)), *loads))
		os.Exit(1)
	}
	if err := torture(context.Background(), sideload.Folder(flag.Arg(0)), *scale, *only); err != nil {
		fmt.Fprintf(os.Stderr, "guest: error: %+v\n", err)
		os.Exit(1)
	}
}

// wrongdoers are the extensions that do wrong what a map says.
var wrongdoers = []string{"packet", "function", "trace", "probe", "watch", "gate"}

// suite is one run of the cases whose names contain `only`.
type suite struct {
	*machine
	dir   sideload.Folder
	facts *manifest.Profile
	scale float64
	only  string
	out   *json.Encoder
}

func torture(ctx context.Context, dir sideload.Folder, scale float64, only string) error {
	if err := dir.Ready(ctx); err != nil {
		return err
	}
	m, err := newMachine(dir)
	if err != nil {
		return err
	}
	facts, err := kernel.Facts(ctx)
	if err != nil {
		return err
	}
	s := &suite{m, dir, facts, scale, only, json.NewEncoder(os.Stdout)}
	for _, part := range []func(context.Context) error{s.nests, s.policies, s.mutantsOnce, s.races, s.wrong, s.replacements} {
		err = errors.Join(err, part(ctx)) // the others still tell something
	}
	return err
}

func (s *suite) wants(name string) bool { return wanted(name, s.only) }

// wanted says whether a name contains one of a list's texts.
func wanted(name, only string) bool {
	return slices.ContainsFunc(strings.Split(only, ","), func(part string) bool { return strings.Contains(name, part) })
}

func (s *suite) say(c wire.Case) error { return s.out.Encode(c) }

func (s *suite) scaled(n uint64) uint64 { return max(1, uint64(float64(n)*s.scale)) }

// with loads an extension that this kernel has the hooks for.
func (s *suite) with(ctx context.Context, name string, do func(*extension) error) error {
	spec, err := s.dir.Spec(name)
	if err != nil {
		return err
	}
	if lacks := missing(s.facts, spec.Manifest); lacks != "" {
		fmt.Fprintf(os.Stderr, "%s: this kernel has no %s\n", name, lacks)
		return nil
	}
	spec.Params["budget"] = budget
	if name == "watch" {
		if spec.Params["path"], err = os.Executable(); err != nil {
			return err
		}
		spec.Params["symbol"] = "main.probed"
	}
	e, err := load(ctx, spec)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return errors.Join(do(e), e.unload(ctx))
}

// wrong does all properties in all contexts at all hooks.
func (s *suite) wrong(ctx context.Context) error {
	for _, name := range wrongdoers {
		spec, err := s.dir.Spec(name)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(cases(spec.Manifest.Programs, nil), func(c *testCase) bool { return s.wants(c.name()) }) {
			continue
		}
		if err := s.with(ctx, name, func(e *extension) error {
			mark, err := sideload.Memory()
			if err != nil {
				return err
			}
			all := wire.Case{Property: "all", Context: "any", Hook: name}
			for _, c := range cases(spec.Manifest.Programs, e) {
				if !s.wants(c.name()) {
					continue
				}
				c.runs = s.scaled(c.runs)
				r := c.run(s.machine)
				all.Runs += r.Runs
				all.Survived += r.Survived
				if err := s.say(r); err != nil {
					return err
				}
			}
			if all.Runs == 0 {
				return nil
			}
			more, err := grown(mark, slack)
			if err != nil {
				return err
			}
			if more {
				all.Leaks, all.Wrong = 1, "the kernel's memory grew over all cases"
			}
			return s.say(all)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) nests(ctx context.Context) error {
	return s.with(ctx, "nest", func(e *extension) error {
		for _, p := range nestedProperties {
			if !s.wants(p.name + ".nested.fentry") {
				continue
			}
			p.runs = s.scaled(p.runs)
			if err := s.say(s.nestedCase(e, p)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *suite) policies(ctx context.Context) error {
	for _, c := range policyCases {
		if !s.wants(c.name()) {
			continue
		}
		if err := s.say(c.run(ctx, s.machine, s.dir)); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) mutantsOnce(context.Context) error {
	if !s.wants("mutants.task.load") {
		return nil
	}
	return s.say(mutantsCase(s.dir))
}

func (s *suite) races(ctx context.Context) error {
	return s.raceCases(ctx, s.dir, s.scale, s.only, s.say)
}

func (s *suite) replacements(ctx context.Context) error {
	if s.wants("replace-in-slot.softirq.xdp") {
		if err := s.say(s.takeCase(ctx, s.dir, max(2, s.scaled(takeRuns)))); err != nil {
			return err
		}
	}
	if !s.wants("replace.softirq.xdp") {
		return nil
	}
	return s.say(s.replaceCase(ctx, s.dir, max(2, s.scaled(replaceRuns))))
}

// missing is a hook that an extension wants and the kernel does not have.
func missing(facts *manifest.Profile, m *manifest.Manifest) string {
	for _, p := range m.Programs {
		if facts.Hooks[p.Hook] == manifest.No {
			return string(p.Hook)
		}
	}
	return ""
}
