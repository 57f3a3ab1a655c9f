// SPDX-License-Identifier: Apache-2.0

package install

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/iupkg/iupkg/kernel"
)

// bootRecord is a file below loaded/: what the kernel said when it loaded a
// package, with the boot it said it in. After a reboot slots and numbers in it
// mean nothing, so a record of another boot counts as none. Losing one loses no
// more than the chance to replace a package under traffic: unloading goes by what
// the kernel has under the name as well.
type bootRecord struct {
	Boot string `json:"boot"`
	// Set is what the user set of its parameters.
	Set    map[string]string `json:"set,omitempty"`
	Loaded *kernel.Loaded    `json:"loaded"`
}

func (r *Root) recordPath(name string) string {
	return filepath.Join(r.dir, "loaded", name+".json")
}

// record is what the kernel loaded under the name in this boot, or nil if that
// is not known.
func (r *Root) record(name string) *kernel.Loaded {
	if b := r.readRecord(name); b != nil {
		return b.Loaded
	}
	return nil
}

func (r *Root) readRecord(name string) *bootRecord { return readRecord(r.recordPath(name), name) }

func readRecord(path, name string) *bootRecord {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var b bootRecord
	if json.Unmarshal(data, &b) != nil || b.Loaded == nil || b.Loaded.Name != name || b.Boot != bootID() {
		return nil
	}
	return &b
}

func (b *bootRecord) encode() ([]byte, error) {
	data, err := json.MarshalIndent(b, "", "  ")
	return append(data, '\n'), err
}

func writeRecord(path string, l *kernel.Loaded, set map[string]string) error {
	data, err := (&bootRecord{bootID(), set, l}).encode()
	if err != nil {
		return err
	}
	return writeFile(path, data)
}

func (r *Root) setRecord(l *kernel.Loaded, set map[string]string) error {
	return writeRecord(r.recordPath(l.Name), l, set)
}

// bootID tells boots apart; tests have boots of their own.
var bootID = func() string { return cmp.Or(kernel.BootID(), "unknown") }

// nextPath is where the record of a replacement is while it is not known whether
// it was committed.
func (r *Root) nextPath(name string) string { return filepath.Join(r.dir, "loaded", name+".next") }

// load loads, with the record written before the kernel is told to keep it. With
// must, nothing stays loaded without a record; else a full disk is no reason not to
// load what was loaded before.
func (r *Root) load(ctx context.Context, env *Env, spec kernel.LoadSpec, must bool) (*kernel.Loaded, error) {
	wrote := false
	spec.Record = func(l *kernel.Loaded) error {
		wrote = true
		if err := r.setRecord(l, spec.Params); err != nil && must {
			return err
		}
		return nil
	}
	l, err := env.Kernel.Load(ctx, spec)
	if err != nil {
		if wrote {
			err = errors.Join(err, remove(r.recordPath(spec.Manifest.Name)))
		}
		return nil, err
	}
	return l, nil
}

// unload unloads and drops the records.
func (r *Root) unload(ctx context.Context, env *Env, name string) error {
	l := r.record(name)
	if l == nil {
		l = &kernel.Loaded{Name: name}
	}
	if err := env.Kernel.Unload(ctx, l); err != nil {
		return err
	}
	return errors.Join(remove(r.recordPath(name)), remove(r.nextPath(name)))
}

// replace replaces, with the new record beside the old one until the kernel has
// been told to keep the new version.
func (r *Root) replace(ctx context.Context, env *Env, old *kernel.Loaded, spec kernel.LoadSpec, must bool) (*kernel.Loaded, error) {
	next, wrote := r.nextPath(old.Name), false
	spec.Record = func(l *kernel.Loaded) error {
		wrote = true
		if err := writeRecord(next, l, spec.Params); err != nil && must {
			return err
		}
		return nil
	}
	l, err := env.Kernel.Replace(ctx, old, spec)
	if err != nil {
		if wrote {
			err = errors.Join(err, remove(next))
		}
		return nil, err
	}
	// The new record has some pins where they were before all was settled; if it
	// cannot be written again as they are now, the next to settle finds them.
	if err := os.Rename(next, r.recordPath(l.Name)); err == nil {
		_ = syncDir(filepath.Dir(next))
	}
	_ = r.setRecord(l, spec.Params)
	return l, nil
}
