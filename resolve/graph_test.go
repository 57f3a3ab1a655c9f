// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

var update = flag.Bool("update", false, "rewrite the expected part of testdata/*.txt")

// A graph is one case of testdata/*.txt:
//
//	=== name of the case
//	kernel RELEASE SYMBOL=value…     (default 6.12.117+deb12-amd64; noconfig: config unknown)
//	PACKAGE VERSION[: clause; clause…]
//	    clause: needs NAME CONSTRAINT | conflicts NAME CONSTRAINT | config EXPR |
//	            release RANGE | hook NAME | btf REQ | symbol NAME | yanked WHY |
//	            provides NAME VERSION | feature NAME [DEPENDENCY CONSTRAINT] |
//	            variant NAME [config EXPR | release RANGE | arch ARCH] (several clauses add up)
//	installed PACKAGE VERSION[ auto][ upgrade][ @CONSTRAINT][ variant=NAME][ feature…]  (what the graph says of it, if it does)
//	want SPEC…                       (specs separated by spaces; _ stands for a space in one)
//	---
//	the plan, with rejected versions indented, or the error
type graph struct {
	name      string
	source    graphSource
	host      Host
	want      []manifest.Spec
	installed []Pinned
	expect    string
	input     string
}

type graphSource map[string][]Candidate

func (g graphSource) Versions(_ context.Context, name string) ([]Candidate, error) {
	c, ok := g[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, ErrUnknownPackage)
	}
	return c, nil
}

func parseGraph(t *testing.T, name, text string) graph {
	t.Helper()
	g := graph{name: name, source: graphSource{}}
	g.input, g.expect, _ = strings.Cut(text, "---\n")
	prof := &manifest.Profile{Schema: 1, Release: "6.12.117+deb12-amd64", Arch: "amd64",
		Config: map[string]string{"BPF_SYSCALL": "y"}, ConfigSource: "/boot/config-6.12.117+deb12-amd64",
		Hooks: map[manifest.Hook]manifest.Answer{manifest.HookXDP: manifest.Yes, manifest.HookTC: manifest.No}}
	for line := range strings.Lines(g.input) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		switch f[0] {
		case "kernel":
			prof.Release, prof.ConfigSource = f[1], "/boot/config-"+f[1]
			for _, kv := range f[2:] {
				if kv == "noconfig" {
					prof.Config = nil
					continue
				}
				k, v, _ := strings.Cut(kv, "=")
				prof.Config[k] = v
			}
		case "want":
			for _, s := range f[1:] {
				spec, err := manifest.ParseSpec(strings.ReplaceAll(s, "_", " "))
				if err != nil {
					t.Fatal(err)
				}
				g.want = append(g.want, spec)
			}
		case "installed":
			p := Pinned{Name: f[1], Version: f[2], Digest: "installed", Auto: slices.Contains(f[3:], "auto"), Upgrade: slices.Contains(f[3:], "upgrade")}
			for _, word := range f[3:] {
				if c, ok := strings.CutPrefix(word, "@"); ok {
					var err error
					if p.Constraint, err = manifest.ParseConstraint(strings.ReplaceAll(c, "_", " ")); err != nil {
						t.Fatal(err)
					}
				} else if _, ok := strings.CutPrefix(word, "variant="); ok {
					continue // see below
				} else if word != "auto" && word != "upgrade" {
					p.Enabled = append(p.Enabled, word)
				}
			}
			for _, c := range g.source[p.Name] {
				if c.Version == p.Version {
					p.Requires, p.Dependencies, p.Conflicts = c.Requires, c.Dependencies, c.Conflicts
					p.Provides, p.Features = c.Provides, c.Features
					for _, v := range c.Variants {
						if slices.Contains(f, "variant="+strings.TrimPrefix(v.Digest, c.Version+"/")) {
							p.Digest, p.Requires = v.Digest, v.Requires
						}
					}
				}
			}
			g.installed = append(g.installed, p)
		default:
			g.source.add(t, line)
		}
	}
	g.host = On(prof.Kernel(nil))
	return g
}

func (g graphSource) Providers(_ context.Context, name string) ([]string, error) {
	var out []string
	for n, list := range g {
		if slices.ContainsFunc(list, func(c Candidate) bool { return c.Provides[name] != "" }) {
			out = append(out, n)
		}
	}
	return out, nil
}

func (g graphSource) add(t *testing.T, line string) {
	head, clauses, _ := strings.Cut(line, ":")
	name, version, _ := strings.Cut(head, " ")
	if version == "none" {
		g[name] = []Candidate{}
		return
	}
	c := Candidate{Version: version, Digest: "sha256:" + version, Dependencies: map[string]string{}, Conflicts: map[string]string{}}
	for cl := range strings.SplitSeq(clauses, ";") {
		if strings.TrimSpace(cl) == "" {
			continue
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(cl), " ")
		on, constraint, _ := strings.Cut(rest, " ")
		switch verb {
		case "needs":
			c.Dependencies[on] = constraint
		case "conflicts":
			c.Conflicts[on] = constraint
		case "config":
			c.Requires.Config = append(c.Requires.Config, rest)
		case "release":
			c.Requires.Release = rest
		case "hook":
			c.Requires.Hooks = append(c.Requires.Hooks, manifest.Hook(rest))
		case "btf":
			c.Requires.BTF = append(c.Requires.BTF, rest)
		case "yanked":
			c.Yanked = rest
		case "symbol":
			c.Requires.Symbols = append(c.Requires.Symbols, rest)
		case "provides":
			put(&c.Provides, on, constraint)
		case "feature": // feature NAME [DEPENDENCY CONSTRAINT]
			if c.Features == nil {
				c.Features = map[string]manifest.Relations{}
			}
			if c.Features[on] == nil {
				c.Features[on] = manifest.Relations{}
			}
			if dep, constraint, ok := strings.Cut(constraint, " "); ok {
				c.Features[on][dep] = constraint
			}
		case "variant":
			at := c.Variant(version + "/" + on)
			if at < 0 {
				at = len(c.Variants)
				c.Variants = append(c.Variants, manifest.CandidateVariant{Digest: version + "/" + on})
			}
			r := &c.Variants[at].Requires
			switch what, text, _ := strings.Cut(constraint, " "); what {
			case "":
			case "config":
				r.Config = append(r.Config, text)
			case "release":
				r.Release = text
			case "arch":
				r.Arch = text
			default:
				t.Fatalf("clause %q", cl)
			}
		default:
			t.Fatalf("clause %q", cl)
		}
	}
	g[name] = append(g[name], c)
}

func (g graph) run() string {
	plan, err := Solve(context.Background(), g.source, g.host, g.want, g.installed)
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, c := range plan.Packages {
		fmt.Fprintf(&b, "%s %s", c.Name, c.Version)
		if c.Variant > 0 {
			fmt.Fprintf(&b, " (variant %d, %s)", c.Variant, c.Digest)
		}
		if len(c.Features) > 0 {
			fmt.Fprintf(&b, " %v", c.Features)
		}
		if len(c.Provides) > 0 {
			b.WriteString(" for " + strings.Join(c.Provides, " "))
		}
		if c.Wanted {
			b.WriteString(" wanted")
		}
		if c.Installed {
			b.WriteString(" installed")
		}
		if c.Replaces != "" {
			b.WriteString(" replaces " + c.Replaces)
		}
		for _, f := range c.Unproven {
			fmt.Fprintf(&b, " (unproven: %s; %s)", f.Requirement, f.Found)
		}
		b.WriteByte('\n')
		for _, r := range c.Rejected {
			fmt.Fprintf(&b, "    %s\n", r)
		}
	}
	for _, name := range plan.Remove {
		b.WriteString("remove " + name + "\n")
	}
	if len(plan.Packages) == 0 {
		return "nothing\n"
	}
	return b.String()
}

func TestGraphs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no graphs", err)
	}
	count := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, rest, _ := strings.Cut(string(b), "=== ")
		out, left := head, strings.Count(rest, "=== ")+1
		for c := range strings.SplitSeq(rest, "=== ") {
			name, text, _ := strings.Cut(c, "\n")
			count++
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+name, func(t *testing.T) {
				left--
				g := parseGraph(t, name, text)
				got := g.run()
				if again := g.run(); again != got {
					t.Errorf("not deterministic: first\n%sthen\n%s", got, again)
				}
				if want := strings.TrimRight(g.expect, "\n"); strings.TrimRight(got, "\n") != want && !*update {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				out += "=== " + name + "\n" + g.input + "---\n" + got + "\n"
			})
		}
		if *update && left == 0 { // -run may have chosen some
			if err := os.WriteFile(file, []byte(strings.TrimRight(out, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if count < 200 {
		t.Errorf("%d graphs, want at least 200", count)
	}
}

func put(m *map[string]string, k, v string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[k] = v
}

type failing struct{}

func (failing) Providers(context.Context, string) ([]string, error) { return nil, nil }

func (failing) Versions(context.Context, string) ([]Candidate, error) {
	return nil, errors.New("disk on fire")
}

func TestSourceErrors(t *testing.T) {
	host := On(new(manifest.Profile).Kernel(nil))
	want := []manifest.Spec{{Name: "a"}}
	var se *SourceError
	for name, src := range map[string]Source{
		"failing": failing{},
		"twice":   graphSource{"a": {{Version: "1.0.0"}, {Version: "1.0.0"}}},
		"version": graphSource{"a": {{Version: "one"}}},
	} {
		if _, err := Solve(context.Background(), src, host, want, nil); !errors.As(err, &se) || se.Name != "a" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := Solve(context.Background(), graphSource{}, host, want, nil)
	var un *Unsatisfiable
	if !errors.Is(err, ErrUnknownPackage) || !errors.As(err, &un) {
		t.Errorf("unknown package: %v", err)
	}
	_, err = Solve(context.Background(), graphSource{"a": {}}, host, want, nil)
	if errors.Is(err, ErrUnknownPackage) {
		t.Errorf("a package without versions is known: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Solve(ctx, graphSource{"a": {{Version: "1.0.0"}}}, host, want, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
