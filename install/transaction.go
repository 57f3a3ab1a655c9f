// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/iupkg/iupkg/kernel"
)

// ErrStale means that a plan was made for another generation than the one in
// force.
var ErrStale = errors.New("the plan is for another generation than the one in force")

// Apply carries a plan out, all of it or nothing, and returns the generation
// that is in force then. What a killed transaction left is undone first.
func (l *Lock) Apply(ctx context.Context, plan *Plan, env *Env) (_ *Generation, err error) {
	if err := l.Recover(ctx, env); err != nil {
		return nil, err
	}
	base, err := l.root.Current()
	if err != nil {
		return nil, err
	}
	if base.Number != plan.Base {
		return nil, ErrStale
	}
	if plan.Empty() {
		return base, nil
	}
	t := &transaction{root: l.root, env: env, base: base, plan: plan, staged: map[string]*staged{}}
	defer func() {
		if err != nil {
			// Undoing goes on when the user has given up waiting.
			err = errors.Join(err, t.rollback(context.WithoutCancel(ctx)))
		}
	}()
	if err := t.stage(ctx); err != nil {
		return nil, err
	}
	if env.StageOnly {
		return base, nil
	}
	if err := t.change(ctx); err != nil {
		return nil, err
	}
	return t.commit()
}

// transaction is one run of Apply.
type transaction struct {
	root   *Root
	env    *Env
	base   *Generation
	plan   *Plan
	next   int
	staged map[string]*staged
	// undo has the inverses of what was done, in its order; failed what of it
	// could not be undone.
	undo   []func(context.Context) error
	failed []error
}

func (t *transaction) did(inverse func(context.Context) error) { t.undo = append(t.undo, inverse) }

func (t *transaction) rollback(ctx context.Context) error {
	for i := len(t.undo) - 1; i >= 0; i-- {
		if err := t.undo[i](ctx); err != nil {
			t.failed = append(t.failed, err)
		}
	}
	if len(t.failed) > 0 {
		return fmt.Errorf("undoing it failed too: %w", errors.Join(t.failed...))
	}
	return nil
}

// stage fetches and verifies all that is new before anything else changes.
func (t *transaction) stage(ctx context.Context) error {
	store := &Store{dir: t.root.dir}
	store.onPut = func(digest string) {
		t.did(func(context.Context) error { return store.delete(digest) })
	}
	for _, c := range t.plan.Changes {
		if c.Op == OpKeep || c.Op == OpRemove {
			continue
		}
		s, err := t.stageOne(ctx, store, c.New)
		if err != nil {
			return err
		}
		t.staged[c.New.Name] = s
	}
	return ctx.Err()
}

// change does to the kernel what the plan says.
func (t *transaction) change(ctx context.Context) error {
	var err error
	if t.next, err = t.root.nextNumber(); err != nil {
		return err
	}
	j := &journal{Schema: schema, Base: t.base.Number, Next: t.next, Did: t.plan.Did, Boot: bootID(), Loads: []string{}, Unloads: []string{}}
	for _, c := range t.plan.Changes {
		if c.Op != OpKeep && c.New != nil {
			j.Loads = append(j.Loads, c.Name())
		}
		if c.Op != OpKeep && c.Old != nil {
			j.Unloads = append(j.Unloads, c.Name())
		}
	}
	if err := t.root.writeJournal(j); err != nil {
		return err
	}
	t.did(func(context.Context) error {
		if len(t.failed) > 0 {
			return nil // the next writer tries again
		}
		return t.root.clearJournal()
	})
	for _, c := range t.plan.Changes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.changeOne(ctx, &c); err != nil {
			return fmt.Errorf("%s %s: %w", c.Op, c.Name(), err)
		}
	}
	return nil
}

func (t *transaction) changeOne(ctx context.Context, c *Change) error {
	switch c.Op {
	case OpKeep:
		return nil
	case OpRemove:
		return t.unload(ctx, c.Old)
	case OpInstall:
		return t.load(ctx, t.staged[c.New.Name])
	}
	s := t.staged[c.New.Name]
	// The kernel replaces one object by another, not by itself, and only what it
	// was seen to load since it booted.
	if was := t.root.record(c.Old.Name); c.Op == OpReplace && was != nil && s.pkg.Object != c.Old.Object {
		if err := t.replace(ctx, c.Old, was, s); !errors.Is(err, kernel.ErrNotLoaded) {
			return err
		}
	}
	if err := t.unload(ctx, c.Old); err != nil {
		return err
	}
	return t.load(ctx, s)
}

func (t *transaction) load(ctx context.Context, s *staged) error {
	loaded, err := t.root.load(ctx, t.env, s.spec, true)
	if err != nil {
		return err
	}
	t.did(func(ctx context.Context) error { return t.root.unload(ctx, t.env, s.pkg.Name) })
	t.env.report(Event{Kind: EventLoaded, Name: s.pkg.Name, Version: s.pkg.Version, Loaded: loaded})
	return nil
}

func (t *transaction) unload(ctx context.Context, old *Package) error {
	// Read now what loading it again takes: a store that is found broken later
	// must not keep the undo from working. That it is broken now is no reason not
	// to remove the package.
	again, _, errAgain := verify(t.root.Store, t.env, old)
	there := t.has(old)
	if err := t.root.unload(ctx, t.env, old.Name); err != nil {
		return err
	}
	t.did(func(ctx context.Context) error {
		if !there {
			return nil
		}
		if errAgain != nil {
			return errAgain
		}
		_, err := t.root.load(ctx, t.env, again.spec, false)
		return err
	})
	t.env.report(Event{Kind: EventUnloaded, Name: old.Name, Version: old.Version})
	return nil
}

// has says whether the kernel has the package, as far as can be told.
func (t *transaction) has(p *Package) bool {
	status, err := t.env.Kernel.Status()
	if err != nil {
		return false
	}
	for _, s := range status {
		if s.Name == p.Name {
			return true
		}
	}
	return false
}

func (t *transaction) replace(ctx context.Context, old *Package, was *kernel.Loaded, s *staged) error {
	again, _, err := verify(t.root.Store, t.env, old)
	if err != nil {
		return err
	}
	loaded, err := t.root.replace(ctx, t.env, was, s.spec, true)
	if err != nil {
		return err
	}
	t.did(func(ctx context.Context) error {
		_, err := t.root.replace(ctx, t.env, loaded, again.spec, false)
		return err
	})
	t.env.report(Event{Kind: EventReplaced, Name: s.pkg.Name, Version: s.pkg.Version, Loaded: loaded})
	return nil
}

// commit makes the new generation the one in force. From the moment `current`
// points to it nothing is undone.
func (t *transaction) commit() (*Generation, error) {
	g := &Generation{Schema: schema, Number: t.next, Time: time.Now().UTC().Truncate(time.Second), Did: t.plan.Did, Kernel: t.env.Release, Packages: []Package{}}
	for _, c := range t.plan.Changes {
		switch c.Op {
		case OpRemove:
		case OpKeep:
			p := *c.Old
			p.Auto, p.Constraint, p.Features = c.New.Auto, c.New.Constraint, c.New.Features
			g.Packages = append(g.Packages, p)
		default:
			g.Packages = append(g.Packages, t.staged[c.New.Name].pkg)
		}
	}
	t.did(func(context.Context) error {
		return errors.Join(t.root.point(t.base.Number), remove(t.root.generationPath(t.next)))
	})
	if err := t.root.commit(g); err != nil {
		return nil, fmt.Errorf("commit generation %d: %w", g.Number, err)
	}
	// A journal that names a committed generation says nothing any more; that it
	// could not be removed is no failure.
	_ = t.root.clearJournal()
	return g, nil
}
