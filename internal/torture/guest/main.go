// SPDX-License-Identifier: Apache-2.0

// Guest tortures the runtime of the machine that it runs in: see package
// torture. It wants a folder as of package sideload, with iu_torture.ko in it,
// and prints one wire.Case a line. Never run it on a machine that matters.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

func main() {
	scale := flag.Float64("scale", 1, "factor on the number of runs")
	only := flag.String("only", "", "only cases whose name contains this")
	flag.Parse()
	if err := torture(context.Background(), sideload.Folder(flag.Arg(0)), *scale, *only); err != nil {
		fmt.Fprintf(os.Stderr, "guest: error: %+v\n", err)
		os.Exit(1)
	}
}

// wrongdoers are the extensions that do wrong what a map says.
var wrongdoers = []string{"packet", "function", "probe"}

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
	out := json.NewEncoder(os.Stdout)
	if strings.Contains("replace.softirq.xdp", only) {
		if err := out.Encode(m.replaceCase(ctx, dir, max(2, uint64(replaceRuns*scale)))); err != nil {
			return err
		}
	}
	for _, name := range wrongdoers {
		spec, err := dir.Spec(name)
		if err != nil {
			return err
		}
		// What no kernel before some release can do is no case there.
		if lacks := missing(facts, spec.Manifest); lacks != "" {
			fmt.Fprintf(os.Stderr, "%s: this kernel has no %s\n", name, lacks)
			continue
		}
		e, err := load(ctx, spec)
		if err != nil {
			return err
		}
		for _, c := range e.cases() {
			if c.scaled(scale); !c.matches(only) {
				continue
			}
			if err := out.Encode(c.run(m)); err != nil {
				return err
			}
		}
		if err := e.unload(ctx); err != nil {
			return err
		}
	}
	return nil
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
