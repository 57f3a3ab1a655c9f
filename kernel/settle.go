// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf/link"
)

// A Broken is how something loaded is no longer as it was loaded.
type Broken struct{ What string }

func (b *Broken) Error() string { return b.What }

// Intact compares the kernel with what a load has left there: the runtime has the
// extension, committed, each program in its slot; every pin is there, and every
// link still leads to its interface. *Broken says what is not so.
func (l *Loaded) Intact() error {
	dev, err := OpenDevice()
	if err != nil {
		return err
	}
	defer dev.Close()
	return l.intact(dev)
}

func (l *Loaded) intact(dev *Device) error {
	if err := l.runs(dev); err != nil {
		return err
	}
	for _, m := range l.Maps {
		if _, err := os.Lstat(m.Pin); err != nil {
			return &Broken{fmt.Sprintf("the pin of map %s is gone: %v", m.Name, err)}
		}
	}
	for i := range l.Programs {
		p := &l.Programs[i]
		if _, err := os.Lstat(p.Pin); err != nil {
			return &Broken{fmt.Sprintf("the pin of program %s is gone: %v", p.Name, err)}
		}
		if p.Link == nil {
			continue
		}
		if err := p.Link.intact(); err != nil {
			return &Broken{fmt.Sprintf("program %s is no longer attached: %v", p.Name, err)}
		}
	}
	return nil
}

// runs compares with the runtime alone.
func (l *Loaded) runs(dev *Device) error {
	var ext *Extension
	for x, err := range dev.Extensions() {
		if err != nil {
			return err
		}
		if x.Name == l.Name && x.ID == l.ID {
			ext = x
		}
	}
	switch {
	case ext == nil:
		return &Broken{"the kernel does not have it"}
	case fmt.Sprintf("sha256:%x", ext.Digest) != l.Digest || ext.Module != l.Module:
		return &Broken{fmt.Sprintf("the kernel has another object, sha256:%x", ext.Digest)}
	case !ext.Committed || ext.Programs != len(l.Programs):
		return &Broken{"it was never loaded completely"}
	}
	for i := range l.Programs {
		p, err := dev.progInfo(ext.ID, i)
		if err != nil {
			return err
		}
		if p.Slot != l.Programs[i].Slot {
			return &Broken{fmt.Sprintf("program %s is not where it was put", l.Programs[i].Name)}
		}
	}
	return nil
}

func (l *Link) intact() error {
	if l.Filter != nil {
		all, err := bpfFilters(l.Ifindex, l.Direction)
		if err != nil {
			return err
		}
		for _, b := range all {
			if b.Name == l.Filter.Name && uint32(b.Id) == l.Filter.Program {
				return nil
			}
		}
		return fmt.Errorf("the filter at %s is gone", l.Interface)
	}
	if l.Pin == "" {
		return nil
	}
	k, err := link.LoadPinnedLink(l.Pin, nil)
	if err != nil {
		return fmt.Errorf("link %s: %w", l.Pin, err)
	}
	defer k.Close()
	if l.Ifindex == 0 {
		return nil
	}
	info, err := k.Info()
	if err != nil {
		return err
	}
	// A link whose interface has gone leads to interface 0.
	at := uint32(l.Ifindex)
	if x := info.XDP(); x != nil {
		at = x.Ifindex
	} else if x := info.TCX(); x != nil {
		at = x.Ifindex
	}
	if at != uint32(l.Ifindex) {
		return fmt.Errorf("interface %s (%d) has gone", l.Interface, l.Ifindex)
	}
	return nil
}

// Settle ends what a Load or Replace that was killed has left unfinished around
// l, which is what it was about to commit or what was there before: other
// extensions of the name, pins that l has not, pins that are not in their place
// yet, modules that nothing uses. It fails with *Broken, and removes nothing, if l
// itself is not what runs. In l, pins are where they are then.
func Settle(ctx context.Context, l *Loaded) error {
	dev, err := OpenDevice()
	if errors.Is(err, ErrNoRuntime) {
		return &Broken{"the kernel does not have it"}
	}
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := l.runs(dev); err != nil {
		return err
	}
	l.findPins()
	if err := l.intact(dev); err != nil {
		return err
	}
	for x, err := range dev.Extensions() {
		if err != nil {
			return err
		}
		if x.Name != l.Name || x.ID == l.ID {
			continue
		}
		if err := dev.end(x); err != nil {
			return fmt.Errorf("unload what is left of %s %s: %w", x.Name, x.Version, err)
		}
	}
	stray, err := strayModules(dev, l.Name)
	if err != nil {
		return err
	}
	for _, m := range stray {
		if err := removeModule(ctx, m); err != nil {
			return err
		}
	}
	return l.settlePins()
}

// findPins follows pins that have got their place since, or not yet.
func (l *Loaded) findPins() {
	find := func(pin *string) {
		if *pin == "" {
			return
		}
		if _, err := os.Lstat(*pin); err == nil {
			return
		}
		other, beside := strings.CutSuffix(*pin, newSuffix)
		if !beside {
			other = *pin + newSuffix
		}
		if _, err := os.Lstat(other); err == nil {
			*pin = other
		}
	}
	l.eachPin(func(pin *string) error { find(pin); return nil })
}

func (l *Loaded) eachPin(do func(pin *string) error) error {
	for i := range l.Maps {
		if err := do(&l.Maps[i].Pin); err != nil {
			return err
		}
	}
	for i := range l.Programs {
		p := &l.Programs[i]
		if err := do(&p.Pin); err != nil {
			return err
		}
		if p.Link != nil && p.Link.Pin != "" {
			if err := do(&p.Link.Pin); err != nil {
				return err
			}
		}
	}
	return nil
}

// settlePins removes pins that are not l's, links first, and gives l's their
// places.
func (l *Loaded) settlePins() error {
	mine := map[string]bool{}
	_ = l.eachPin(func(pin *string) error { mine[*pin] = true; return nil })
	pins := pinDir(l.PinDir)
	for _, sub := range []string{"links", "progs", "maps"} {
		names, err := pins.names(sub)
		if err != nil {
			return err
		}
		for _, n := range names {
			path := filepath.Join(l.PinDir, sub, n)
			if mine[path] {
				continue
			}
			if sub == "links" {
				err = detachPin(path)
			} else {
				err = unpin(path)
			}
			if err != nil {
				return err
			}
		}
	}
	if err := l.settleFilters(); err != nil {
		return err
	}
	return l.eachPin(func(pin *string) (err error) {
		*pin, err = settlePin(*pin)
		return err
	})
}

// settleFilters removes filters of the package that are not l's.
func (l *Loaded) settleFilters() error {
	mine := map[uint32]bool{}
	for _, p := range l.Programs {
		if p.Link != nil && p.Link.Filter != nil {
			mine[p.Link.Filter.Program] = true
		}
	}
	devs, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, dev := range devs {
		for direction := range clsactParents {
			all, err := bpfFilters(dev.Index, direction)
			if err != nil {
				return err
			}
			for _, b := range all {
				if !strings.HasPrefix(b.Name, filterName(l.Name, "")) || mine[uint32(b.Id)] {
					continue
				}
				f := &Filter{Name: b.Name, Handle: b.Handle, Priority: b.Priority, Program: uint32(b.Id)}
				if err := f.remove(dev.Index, direction); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// strayModules lists the wrappers of a package, of whatever object, that no
// extension runs from: their names end in eight digits of an object's digest. dev
// may be nil.
func strayModules(dev *Device, name string) ([]string, error) {
	used := map[string]bool{}
	if dev != nil {
		for x, err := range dev.Extensions() {
			if err != nil {
				return nil, err
			}
			used[x.Module] = true
		}
	}
	stem := ModuleName(name, [32]byte{})
	stem = stem[:len(stem)-8]
	entries, err := os.ReadDir("/sys/module")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		hex, ok := strings.CutPrefix(e.Name(), stem)
		if ok && len(hex) == 8 && strings.Trim(hex, "0123456789abcdef") == "" && !used[e.Name()] {
			out = append(out, e.Name())
		}
	}
	return out, nil
}
