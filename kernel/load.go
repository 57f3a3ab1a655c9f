// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/cilium/ebpf"
)

// loader does the steps of one load and remembers how to undo each.
type loader struct {
	*plan
	dev    *Device
	done   journal
	out    *Loaded
	maps   []*ebpf.Map // by index; open until the load has ended
	attach []Attachment
}

// Load loads an extension and attaches its programs: module, runtime, maps,
// parameters, slots, stubs, links. It either does all of it or leaves the
// kernel as it was. ErrLoaded if the name is loaded; *ParamError for what the
// user set; ErrNoRuntime; ErrRefused.
func Load(ctx context.Context, spec LoadSpec) (*Loaded, error) {
	p, err := spec.plan()
	if err != nil {
		return nil, err
	}
	return run(p, func(l *loader) error {
		if err := l.clear(ctx); err != nil {
			return err
		}
		if err := l.enter(ctx); err != nil {
			return err
		}
		for i := range l.object.Maps {
			if err := l.newMap(i, l.pins.mapPin(l.object.Maps[i].Name)); err != nil {
				return err
			}
		}
		if err := l.complete(); err != nil {
			return err
		}
		for i := range l.object.Programs {
			if err := l.newSlot(i); err != nil {
				return err
			}
		}
		if err := l.dev.Attach(l.attach); err != nil {
			return err
		}
		// Traffic comes in from here on, to programs that are complete.
		for i := range l.object.Programs {
			if err := l.newLink(ctx, i); err != nil {
				return err
			}
		}
		return l.commit()
	})
}

func (l *loader) commit() error {
	if l.Record != nil {
		if err := l.Record(l.out); err != nil {
			return err
		}
	}
	return l.dev.Commit()
}

// run opens the device, does the steps, and rolls back if they fail.
func run(p *plan, steps func(*loader) error) (*Loaded, error) {
	dev, err := OpenDevice()
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	l := &loader{plan: p, dev: dev, maps: make([]*ebpf.Map, len(p.object.Maps)), out: &Loaded{
		Name: p.object.Name, Version: p.object.Version, Digest: p.digest, Module: p.module, PinDir: string(p.pins),
		Params: maps.Clone(p.texts), Programs: make([]LoadedProgram, len(p.object.Programs)), Maps: make([]Map, len(p.object.Maps)),
	}}
	defer func() {
		for _, m := range l.maps {
			if m != nil {
				m.Close()
			}
		}
	}()
	if err := steps(l); err != nil {
		if uerr := l.done.rollback(); uerr != nil {
			err = fmt.Errorf("%w (and undoing it failed: %w)", err, uerr)
		}
		return nil, err
	}
	return l.out, nil
}

func (l *loader) notice(s string) {
	l.out.Notices = append(l.out.Notices, s)
	if l.Notice != nil {
		l.Notice(s)
	}
}

// clear refuses a name that is loaded, and removes what a loader that died has
// left behind.
func (l *loader) clear(ctx context.Context) error {
	x, err := l.dev.find(l.object.Name)
	if err != nil {
		return err
	}
	if x != nil {
		return fmt.Errorf("%s %s: %w", x.Name, x.Version, ErrLoaded)
	}
	if !l.pins.exists() && !moduleLoaded(l.module) {
		return nil
	}
	return remove(ctx, l.dev, &Loaded{Name: l.object.Name, Module: l.module, PinDir: string(l.pins)})
}

// find returns the extension of a name, nil if there is none.
func (d *Device) find(name string) (*Extension, error) {
	for x, err := range d.Extensions() {
		if err != nil {
			return nil, err
		}
		if x.Name == name {
			return x, nil
		}
	}
	return nil, nil
}

// enter brings the module into the kernel and hands it to the runtime.
func (l *loader) enter(ctx context.Context) error {
	if err := l.pins.create(); err != nil {
		return err
	}
	l.done.did(func() error { l.pins.removeIfEmpty(); return nil })
	if err := insertModule(l.module, l.wrapper); err != nil {
		return err
	}
	l.done.did(func() error { return removeModule(context.WithoutCancel(ctx), l.module) })
	sections, err := SectionAddrs(l.module, l.object)
	if err != nil {
		return err
	}
	id, err := l.dev.Load(l.module, l.Object, l.Signature, sections)
	if err != nil {
		return err
	}
	l.out.ID = id
	l.done.did(func() error { return l.dev.Unload(id) })
	return nil
}

// newMap makes the map number i and pins it.
func (l *loader) newMap(i int, pin string) error {
	o := &l.object.Maps[i]
	m, err := createMap(o, pin)
	if err != nil {
		return err
	}
	l.maps[i] = m
	l.done.did(func() error { return unpin(pin) })
	l.out.Maps[i] = Map{Name: o.Name, ID: mapID(m), Pin: pin, Migrate: l.Manifest.Maps[i].Migrate, Counters: l.Manifest.Maps[i].Counters}
	return nil
}

// complete binds maps, sets parameters and says what the kernel is like.
func (l *loader) complete() error {
	for i, m := range l.maps {
		if err := l.dev.Bind(l.out.ID, i, m.FD()); err != nil {
			return named(err, "map "+l.object.Maps[i].Name)
		}
	}
	for i, v := range l.values {
		if err := l.dev.SetParam(l.out.ID, i, v); err != nil {
			return named(err, "parameter "+l.object.Params[i].Name)
		}
	}
	return l.resolveTypes()
}

// newSlot makes a slot for program i and plans to put the program there.
func (l *loader) newSlot(i int) error {
	slot, err := l.dev.NewSlot(l.object.Programs[i].Hook)
	if err != nil {
		return err
	}
	l.done.did(func() error {
		// Full or empty: it was made here.
		_ = l.dev.Detach(slot)
		return l.dev.FreeSlot(slot)
	})
	m := &l.Manifest.Programs[i]
	l.out.Programs[i] = LoadedProgram{Name: m.Name, Hook: m.Hook, Slot: slot, Target: l.targets[i]}
	l.plug(i, slot)
	return nil
}

func (l *loader) plug(i int, slot uint32) {
	q := l.policies[l.Manifest.Programs[i].Name]
	l.attach = append(l.attach, Attachment{Slot: slot, ID: l.out.ID, Program: i, MaxFaults: q.MaxFaults, Window: q.Window, Budget: q.Budget})
}

// newLink loads and pins the stub of program i and attaches it to its target.
func (l *loader) newLink(ctx context.Context, i int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	hook, out := l.object.Programs[i].Hook, &l.out.Programs[i]
	to, err := findTarget(hook, out.Target, l.object.Programs[i].Args)
	if err != nil {
		return fmt.Errorf("program %s: %w", out.Name, err)
	}
	defer to.close()
	stub, err := loadStub(hook, out.Slot, out.Name, to)
	if err != nil {
		return err
	}
	defer stub.Close()
	if info, err := stub.Info(); err == nil {
		id, _ := info.ID()
		out.StubID = uint32(id)
	}
	out.Pin = freePin(l.pins.progPin(out.Name))
	if err := stub.Pin(out.Pin); err != nil {
		return refusedBPF("pin the stub of program "+out.Name, err)
	}
	l.done.did(func() error { return unpin(out.Pin) })
	if out.Target == nil {
		return nil
	}
	out.Link, err = attach(hook, &attachment{
		pkg: l.out.Name, program: out.Name, target: out.Target, stub: stub, pin: freePin(l.pins.linkPin(out.Name)), notice: l.notice,
	})
	if err != nil {
		return err
	}
	l.done.did(out.Link.detach)
	return nil
}

// named puts a name in the place of the number that the device knows.
func named(err error, what string) error {
	var r *RefusedError
	if errors.As(err, &r) {
		return &RefusedError{what, r.Msg, r.Err}
	}
	return err
}
