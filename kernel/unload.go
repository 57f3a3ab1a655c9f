// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// Unload detaches and removes an extension: links, slots, runtime, module,
// pins. What is gone already counts as done, so it may be called again after a
// failure, and on what is left after a reboot. Without a record (only Name set,
// and PinDir unless it is the default) it goes by what the kernel has under
// that name.
func Unload(ctx context.Context, l *Loaded) error {
	dev, err := OpenDevice()
	if errors.Is(err, ErrNoRuntime) {
		dev = nil // no extension, but maybe pins and filters
	} else if err != nil {
		return err
	} else {
		defer dev.Close()
	}
	r := *l
	if r.PinDir == "" {
		r.PinDir = string(pinsOf("", l.Name))
	}
	return remove(ctx, dev, &r)
}

// remove goes on after a failure, but leaves alone what would be harmed by
// going on: a program stays where it is while something may still call it.
func remove(ctx context.Context, dev *Device, l *Loaded) error {
	if l.Name == "" || l.PinDir == "" {
		return errors.New("unload: no name")
	}
	pins := pinDir(l.PinDir)
	if err := removeLinks(l, pins); err != nil {
		return fmt.Errorf("detach %s: %w", l.Name, err)
	}
	if err := removePins(pins, "progs"); err != nil {
		return err
	}
	modules := map[string]bool{}
	if l.Module != "" {
		modules[l.Module] = true
	}
	if dev != nil {
		for x, err := range dev.Extensions() {
			if err != nil {
				return err
			}
			if x.Name != l.Name {
				continue
			}
			if err := dev.end(x); err != nil {
				return fmt.Errorf("unload %s: %w", l.Name, err)
			}
			modules[x.Module] = true
		}
	}
	stray, err := strayModules(dev, l.Name)
	if err != nil {
		return err
	}
	for _, m := range stray {
		modules[m] = true
	}
	for m := range modules {
		if err := removeModule(ctx, m); err != nil {
			return err
		}
	}
	if err := removePins(pins, "maps"); err != nil {
		return err
	}
	pins.removeIfEmpty()
	return nil
}

// removeLinks detaches the links on record, then any others of that name.
func removeLinks(l *Loaded, pins pinDir) error {
	var errs []error
	qdiscs := map[int]bool{}
	for i := len(l.Programs) - 1; i >= 0; i-- {
		k := l.Programs[i].Link
		if k == nil {
			continue
		}
		errs = append(errs, k.detach())
		if k.Filter != nil && k.Filter.Qdisc {
			qdiscs[k.Ifindex] = true
		}
	}
	names, err := pins.names("links")
	errs = append(errs, err)
	for _, n := range names {
		errs = append(errs, detachPin(pins.linkPin(n)))
	}
	errs = append(errs, removeFiltersOf(l.Name))
	for ifindex := range qdiscs {
		errs = append(errs, removeClsact(ifindex))
	}
	return errors.Join(errs...)
}

func removePins(pins pinDir, sub string) error {
	names, err := pins.names(sub)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range names {
		errs = append(errs, unpin(filepath.Join(string(pins), sub, n)))
	}
	return errors.Join(errs...)
}

// end takes an extension out of its slots, frees them, and unloads it.
func (d *Device) end(x *Extension) error {
	for i := range x.Programs {
		p, err := d.progInfo(x.ID, i)
		if err != nil {
			return err
		}
		if p.Slot == noSlot {
			continue
		}
		if err := d.Detach(p.Slot); err != nil {
			return err
		}
		if err := d.FreeSlot(p.Slot); err != nil {
			return err
		}
	}
	return d.Unload(x.ID)
}
