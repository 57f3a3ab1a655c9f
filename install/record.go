// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
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

// loadedAs says whether what the kernel has under the package's name is known to
// be that package with its parameters, given the object that the kernel has.
func (r *Root) loadedAs(pkg *Package, object string) bool {
	b := r.readRecord(pkg.Name)
	return b != nil && object == pkg.Object && b.Loaded.Digest == pkg.Object && maps.Equal(b.Set, pkg.Params)
}

func (r *Root) readRecord(name string) *bootRecord {
	data, err := os.ReadFile(r.recordPath(name))
	if err != nil {
		return nil
	}
	var b bootRecord
	if json.Unmarshal(data, &b) != nil || b.Loaded == nil || b.Loaded.Name != name || b.Boot != bootID() {
		return nil
	}
	return &b
}

func (r *Root) setRecord(l *kernel.Loaded, set map[string]string) error {
	data, err := json.MarshalIndent(bootRecord{bootID(), set, l}, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(r.recordPath(l.Name), append(data, '\n'))
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return string(bytes.TrimSpace(b))
}

// load loads and keeps the record; without it nothing stays loaded.
func (r *Root) load(ctx context.Context, env *Env, spec kernel.LoadSpec) (*kernel.Loaded, error) {
	l, err := env.Kernel.Load(ctx, spec)
	if err != nil {
		return nil, err
	}
	if err := r.setRecord(l, spec.Params); err != nil {
		return nil, errors.Join(err, env.Kernel.Unload(context.WithoutCancel(ctx), l))
	}
	return l, nil
}

// unload unloads and drops the record.
func (r *Root) unload(ctx context.Context, env *Env, name string) error {
	l := r.record(name)
	if l == nil {
		l = &kernel.Loaded{Name: name}
	}
	if err := env.Kernel.Unload(ctx, l); err != nil {
		return err
	}
	return remove(r.recordPath(name))
}

// replace replaces and keeps the new record. If that cannot be written, the old
// one is of no use to the next replacement, which then removes and loads.
func (r *Root) replace(ctx context.Context, env *Env, old *kernel.Loaded, spec kernel.LoadSpec) (*kernel.Loaded, error) {
	l, err := env.Kernel.Replace(ctx, old, spec)
	if err != nil {
		return nil, err
	}
	if err := r.setRecord(l, spec.Params); err != nil {
		_ = remove(r.recordPath(l.Name))
	}
	return l, nil
}
