// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/iupkg/iupkg/manifest"
)

// Prepared is what is to be loaded when another kernel boots: made before its
// first boot, when what it needs can still be fetched. It counts for as long as
// the generation that it was made from is in force.
type Prepared struct {
	Schema  int    `json:"schema"`
	Release string `json:"release"`
	Base    int    `json:"base"`
	Target  []Item `json:"target"`
}

func (r *Root) preparedPath(release string) string {
	return filepath.Join(r.dir, "prepared", release+".json")
}

// checkRelease refuses what is no name of a file.
func checkRelease(release string) error {
	if release == "" || strings.HasPrefix(release, ".") || strings.ContainsAny(release, "/\x00") {
		return fmt.Errorf("%q is not the release of a kernel", release)
	}
	return nil
}

// Prepared is what was prepared for a kernel from the generation in force, nil if
// nothing was.
func (r *Root) Prepared(release string) (*Prepared, error) {
	if err := checkRelease(release); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(r.preparedPath(release))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var p Prepared
	if json.Unmarshal(data, &p) != nil || p.Schema != schema || p.Release != release {
		return nil, nil // as good as none: preparing writes it anew
	}
	cur, err := r.Current()
	if err != nil || cur.Number != p.Base {
		return nil, err
	}
	return &p, nil
}

// A Trial is what became of one package when it was tried for another kernel.
type Trial struct {
	Package string `json:"package"`
	Version string `json:"version"`
	Err     error  `json:"-"`
	Why     string `json:"why,omitempty"` // Err's text
}

// Prepare fetches and verifies the target of a plan for a kernel that does not
// run: env.Release and env.Check are that kernel's, and runtime is its iu.ko, for
// which every wrapper is made once to see that it can be; nil if there is none.
// The running kernel is not touched, nor is the generation in force; what would be
// loaded is kept for the day.
func (l *Lock) Prepare(ctx context.Context, plan *Plan, env *Env, runtime []byte) ([]Trial, error) {
	if err := checkRelease(env.Release); err != nil {
		return nil, err
	}
	cur, err := l.root.Current()
	if err != nil {
		return nil, err
	}
	if cur.Number != plan.Base {
		return nil, ErrStale
	}
	t := &transaction{root: l.root, env: env, base: cur, plan: plan}
	p := Prepared{Schema: schema, Release: env.Release, Base: cur.Number, Target: []Item{}}
	out := []Trial{}
	for _, c := range plan.Changes {
		if c.New == nil {
			continue
		}
		x := Trial{Package: c.New.Name, Version: c.New.Version}
		s, err := t.stageOne(ctx, l.root.Store, c.New)
		if err == nil && runtime != nil {
			s.spec.Runtime = runtime
			err = s.spec.Check()
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err != nil {
			x.Err, x.Why = err, err.Error()
		}
		p.Target = append(p.Target, *c.New)
		out = append(out, x)
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(l.root.Sub("prepared"), 0o755); err != nil {
		return nil, err
	}
	if err := syncDir(l.root.dir); err != nil {
		return nil, err
	}
	return out, writeFile(l.root.preparedPath(env.Release), append(data, '\n'))
}

// Forget drops all that is kept for a kernel: what was prepared, and its iu.ko.
func (l *Lock) Forget(release string) error {
	if err := checkRelease(release); err != nil {
		return err
	}
	return errors.Join(remove(l.root.preparedPath(release)), os.RemoveAll(filepath.Join(l.root.dir, "runtime", release)))
}

// preparedFor lists what was prepared from a generation, and the files of what was
// prepared from others.
func (r *Root) preparedFor(base int) (all []*Prepared, stale []string, err error) {
	entries, err := os.ReadDir(r.Sub("prepared"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	for _, e := range entries {
		release, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		p, err := r.Prepared(release)
		if err != nil {
			return nil, nil, err
		}
		if p == nil {
			stale = append(stale, r.preparedPath(release))
		} else if p.Base == base {
			all = append(all, p)
		}
	}
	return all, stale, nil
}

// Requires is what a package in the store wants of a kernel.
func (r *Root) Requires(pkg *Package) (manifest.Requirements, error) {
	m, err := r.Manifest(pkg)
	if err != nil {
		return manifest.Requirements{}, err
	}
	req := m.Requires
	req.Arch = m.Arch
	return req, nil
}
