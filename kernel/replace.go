// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"fmt"
	"maps"
)

// Replace puts another version of a loaded extension in its place, under
// traffic. The new version gets the old one's maps where both declare the same,
// with what is in them, and new maps otherwise. A program that keeps name, hook
// and target keeps slot, stub and link, and changes in one step with all others:
// every packet is seen by the old program or by the new one. On failure the
// old version stays as it was.
func Replace(ctx context.Context, old *Loaded, spec LoadSpec) (*Loaded, error) {
	p, err := spec.plan()
	if err != nil {
		return nil, err
	}
	if p.object.Name != old.Name {
		return nil, fmt.Errorf("replace %s by %s: want another version of the same", old.Name, p.object.Name)
	}
	if p.module == old.Module {
		return nil, fmt.Errorf("%s %s: %w", old.Name, old.Version, ErrLoaded)
	}
	p.pins = pinDir(old.PinDir)
	return run(p, func(l *loader) error {
		was, err := l.dev.find(old.Name)
		if err != nil {
			return err
		}
		if was == nil || was.Module != old.Module {
			return fmt.Errorf("%s %s: %w", old.Name, old.Version, ErrNotLoaded)
		}
		if moduleLoaded(l.module) { // left behind by a loader that died
			if err := removeModule(ctx, l.module); err != nil {
				return err
			}
		}
		if err := l.enter(ctx); err != nil {
			return err
		}
		if err := l.inheritMaps(old); err != nil {
			return err
		}
		if err := l.complete(); err != nil {
			return err
		}
		kept, err := l.inheritSlots(old)
		if err != nil {
			return err
		}
		for i := range l.object.Programs {
			if kept[l.object.Programs[i].Name] {
				continue
			}
			if err := l.newSlot(i); err != nil {
				return err
			}
			if err := l.newLink(ctx, i); err != nil {
				return err
			}
		}
		if err := l.dev.Attach(l.attach); err != nil {
			return err
		}
		if err := l.commit(); err != nil {
			return err
		}
		// Done. What fails from here on leaves rests, but the new version runs.
		l.retire(ctx, old, was, kept)
		return nil
	})
}

// inheritMaps opens the pinned maps that fit and makes the others, with the entries
// of those that they replace if this version or, on the way back, the old one says
// so. What the old version writes while they are copied may be missed.
func (l *loader) inheritMaps(old *Loaded) error {
	for i := range l.object.Maps {
		o := &l.object.Maps[i]
		pin := l.pins.mapPin(o.Name)
		m, same, err := openPinned(o, pin)
		if err != nil {
			return err
		}
		how := l.Manifest.Maps[i].Migrate
		if same {
			l.maps[i] = m
			l.out.Maps[i] = Map{Name: o.Name, ID: mapID(m), Pin: pin, Kept: true, Migrate: how, Counters: l.Manifest.Maps[i].Counters}
			continue
		}
		err = l.newMap(i, freePin(pin))
		if m != nil {
			for _, was := range old.Maps {
				if was.Name == o.Name && how == "" {
					how = was.Migrate
				}
			}
			if err == nil {
				l.out.Maps[i].Copied, err = migrate(o.Name, how, m, l.maps[i])
			}
			m.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inheritSlots takes over the slots of programs that stay what and where they
// are. Their stubs hand over all arguments of the target, whatever the old
// program took; the new one must fit too.
func (l *loader) inheritSlots(old *Loaded) (map[string]bool, error) {
	kept := map[string]bool{}
	for i := range l.object.Programs {
		m := &l.Manifest.Programs[i]
		for _, was := range old.Programs {
			if was.Name == m.Name && was.Hook == m.Hook && maps.Equal(was.Target, l.targets[i]) {
				l.out.Programs[i] = was
				l.plug(i, was.Slot)
				kept[m.Name] = true
				if l.targets[i] == nil {
					continue
				}
				to, err := findTarget(l.object.Programs[i].Hook, l.targets[i], l.object.Programs[i].Args)
				if err != nil {
					return nil, fmt.Errorf("program %s: %w", m.Name, err)
				}
				to.close()
			}
		}
	}
	return kept, nil
}

// retire removes what the old version had and the new one has not.
func (l *loader) retire(ctx context.Context, old *Loaded, was *Extension, kept map[string]bool) {
	try := func(what string, err error) {
		if err != nil {
			l.notice(fmt.Sprintf("%s of %s %s is left behind: %v", what, old.Name, old.Version, err))
		}
	}
	for _, p := range old.Programs {
		if kept[p.Name] {
			continue
		}
		if p.Link != nil {
			try("link "+p.Name, p.Link.detach())
		}
		try("stub "+p.Name, unpin(p.Pin))
	}
	// Only slots of its own are left for it to be in.
	try("extension", l.dev.end(was))
	try("module", removeModule(ctx, old.Module))
	have := map[string]bool{}
	settle := func(what string, pin *string) {
		var err error
		*pin, err = settlePin(*pin)
		try(what, err)
		have[*pin] = true
	}
	for i := range l.out.Maps {
		settle("pin of map "+l.out.Maps[i].Name, &l.out.Maps[i].Pin)
	}
	for i := range l.out.Programs {
		p := &l.out.Programs[i]
		settle("pin of program "+p.Name, &p.Pin)
		if p.Link != nil && p.Link.Pin != "" {
			settle("pin of link "+p.Name, &p.Link.Pin)
			for j := range p.Link.More {
				settle("pin of link "+p.Name, &p.Link.More[j])
			}
		}
	}
	for _, m := range old.Maps {
		if !have[m.Pin] {
			try("map "+m.Name, unpin(m.Pin))
		}
	}
}
