// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/iupkg/iupkg/kernel"
)

// Did is what making the kernel fit a package took.
type Did string

// The ways.
const (
	DidNothing Did = "kept"     // it was there, whole
	DidLoad    Did = "loaded"   // it was not there, or not whole
	DidReplace Did = "replaced" // another version ran in its place
	DidRemove  Did = "removed"  // it was there and is not in the generation
	DidFail    Did = "failed"
)

// A Restored says what became of one package.
type Restored struct {
	Package string `json:"package"`
	Version string `json:"version,omitempty"`
	Did     Did    `json:"did"`
	Err     error  `json:"-"` // of DidFail
	Why     string `json:"why,omitempty"`
}

// Restore makes the kernel have what the generation in force says, and of what
// this root had loaded in this boot nothing else: after a reboot, or when
// something has drifted. What a killed transaction left is undone first. A package
// that cannot be loaded keeps none of the others from it; Err of its Restored says
// why.
func (l *Lock) Restore(ctx context.Context, env *Env) ([]Restored, error) {
	if err := l.Recover(ctx, env); err != nil {
		return nil, err
	}
	r := l.root
	cur, err := r.Current()
	if err != nil {
		return nil, err
	}
	out := []Restored{}
	strays, err := r.strays(cur)
	if err != nil {
		return nil, err
	}
	note := func(name, version string, did Did, err error) {
		x := Restored{Package: name, Version: version, Did: did, Err: err}
		if err != nil {
			x.Did, x.Why = DidFail, err.Error()
		}
		out = append(out, x)
	}
	for _, s := range strays {
		note(s.Name, s.Version, DidRemove, r.unload(ctx, env, s.Name))
	}
	for i := range cur.Packages {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		p := &cur.Packages[i]
		did, err := r.ensure(ctx, env, p)
		note(p.Name, p.Version, did, err)
	}
	return out, nil
}

// strays are what was loaded in this boot and is not in the generation.
func (r *Root) strays(cur *Generation) ([]*kernel.Loaded, error) {
	entries, err := os.ReadDir(r.Sub("loaded"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []*kernel.Loaded
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || cur.Find(name) != nil {
			continue
		}
		if rec := r.record(name); rec != nil {
			out = append(out, rec)
		}
	}
	return out, nil
}

// ensure makes the kernel have the package as the generation says. What runs
// already stays; another version that is known to run is replaced under traffic,
// with its maps; whatever else is there under the name goes.
func (r *Root) ensure(ctx context.Context, env *Env, pkg *Package) (Did, error) {
	if b := r.readRecord(pkg.Name); b != nil && b.Loaded.Digest == pkg.Object && maps.Equal(b.Set, pkg.Params) {
		err := env.Kernel.Settle(ctx, b.Loaded)
		if err == nil {
			return DidNothing, errors.Join(remove(r.nextPath(pkg.Name)), r.keepRecord(b))
		}
		if !isBroken(err) {
			return DidFail, err
		}
	}
	s, err := r.verified(ctx, env, pkg)
	if err != nil {
		return DidFail, err
	}
	if b := readRecord(r.nextPath(pkg.Name), pkg.Name); b != nil {
		switch err := env.Kernel.Settle(ctx, b.Loaded); {
		case err == nil && b.Loaded.Digest == pkg.Object: // the way back was killed when it was done
			return DidReplace, errors.Join(r.keepRecord(b), remove(r.nextPath(pkg.Name)))
		case err == nil:
			loaded, err := r.replace(ctx, env, b.Loaded, s.spec, false)
			if err == nil {
				env.report(Event{Kind: EventReplaced, Name: pkg.Name, Version: pkg.Version, Loaded: loaded})
				return DidReplace, nil
			}
			if !errors.Is(err, kernel.ErrNotLoaded) {
				return DidFail, err
			}
		case !isBroken(err):
			return DidFail, err
		}
	}
	if err := r.unload(ctx, env, pkg.Name); err != nil {
		return DidFail, err
	}
	loaded, err := r.load(ctx, env, s.spec, false)
	if err != nil {
		return DidFail, err
	}
	env.report(Event{Kind: EventLoaded, Name: pkg.Name, Version: pkg.Version, Loaded: loaded})
	return DidLoad, nil
}

func isBroken(err error) bool {
	var b *kernel.Broken
	return errors.As(err, &b)
}

// keepRecord writes a record again if settling has moved pins.
func (r *Root) keepRecord(b *bootRecord) error {
	now, err := b.encode()
	if err != nil {
		return err
	}
	path := r.recordPath(b.Loaded.Name)
	if was, err := os.ReadFile(path); err == nil && slices.Equal(was, now) {
		return nil
	}
	return writeFile(path, now)
}

// verified reads and checks an installed package; what is corrupt or missing is
// fetched again.
func (r *Root) verified(ctx context.Context, env *Env, pkg *Package) (*staged, error) {
	p := *pkg
	s, _, err := verify(r.Store, env, &p)
	var corrupt *CorruptBlob
	if env.Source == nil || !errors.As(err, &corrupt) && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	env.report(Event{Kind: EventNotice, Name: pkg.Name, Version: pkg.Version, Text: err.Error() + "; fetched again"})
	if err := r.refetch(ctx, env, pkg); err != nil {
		return nil, err
	}
	p = *pkg
	s, _, err = verify(r.Store, env, &p)
	return s, err
}
