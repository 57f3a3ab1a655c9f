// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"github.com/iupkg/iupkg/manifest"
)

// Map is a BPF map of a loaded extension.
type Map struct {
	Name string `json:"name"`
	ID   uint32 `json:"id"`
	Pin  string `json:"pin"`
	// Kept: it was the map of the version before, with what was in it.
	Kept bool `json:"kept,omitempty"`
	// Copied is how many entries of the map of the version before were put into this
	// one, which is of another shape.
	Copied int `json:"copied,omitempty"`
	// Migrate is what this version's manifest says of other shapes.
	Migrate manifest.Migration `json:"migrate,omitempty"`
	// Counters are names of its values, see manifest.Map.
	Counters []string `json:"counters,omitempty"`
}

// Counter is a value of a map that its manifest names.
type Counter struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"` // of all CPUs
	// PerCPU are the values of each; empty if the map has one for all.
	PerCPU []uint64 `json:"perCPU,omitempty"`
}

// ReadCounters reads what the manifest names of a map. Programs may run meanwhile.
func (m *Map) ReadCounters() ([]Counter, error) {
	if len(m.Counters) == 0 {
		return nil, nil
	}
	b, err := ebpf.LoadPinnedMap(m.Pin, &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", m.Name, err)
	}
	defer b.Close()
	out := make([]Counter, len(m.Counters))
	for i, name := range m.Counters {
		c := Counter{Name: name}
		if b.Type() == ebpf.PerCPUArray {
			err = b.Lookup(uint32(i), &c.PerCPU)
		} else {
			err = b.Lookup(uint32(i), &c.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("map %s: counter %s: %w", m.Name, name, err)
		}
		for _, n := range c.PerCPU {
			c.Value += n
		}
		out[i] = c
	}
	return out, nil
}

func (m *ObjectMap) spec() *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: bpfName(m.Name), Type: ebpf.MapType(m.Type),
		KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries, Flags: m.Flags,
		Key: m.Key, Value: m.Value,
	}
}

// createMap makes a map and pins it.
func createMap(m *ObjectMap, pin string) (*ebpf.Map, error) {
	spec := m.spec()
	b, err := ebpf.NewMap(spec)
	if err != nil && spec.Key != nil {
		// Types are for readers only.
		spec.Key, spec.Value = nil, nil
		b, err = ebpf.NewMap(spec)
	}
	if err != nil {
		return nil, refusedBPF("create map "+m.Name, err)
	}
	if err := b.Pin(pin); err != nil {
		b.Close()
		return nil, refusedBPF("pin map "+m.Name, err)
	}
	return b, nil
}

// openPinned opens a pinned map, nil if there is none, and says whether it is what
// the object declares.
func openPinned(m *ObjectMap, pin string) (b *ebpf.Map, same bool, err error) {
	b, err = ebpf.LoadPinnedMap(pin, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("map %s: %w", m.Name, err)
	}
	return b, m.spec().Compatible(b) == nil, nil
}

// A MapChange is an upgrade that is refused because it brings a map of another
// shape and no version says what is to become of the entries.
type MapChange struct{ Map, Why string }

func (e *MapChange) Error() string {
	return fmt.Sprintf("map %s: %s", e.Map, e.Why)
}

// Hint says what the publisher, or the user, can do.
func (e *MapChange) Hint() string {
	return fmt.Sprintf("the publisher can declare a migration ([map.%s] migrate in iupkg.toml); to lose the entries, remove the package and install it", e.Map)
}

// migrate does with the entries of a map of another shape what was declared.
func migrate(name string, how manifest.Migration, from, to *ebpf.Map) (copied int, err error) {
	switch {
	case how == manifest.MigrateDrop:
		return 0, nil
	case how != manifest.MigrateCopy:
		return 0, &MapChange{name, fmt.Sprintf("it is of another shape than the one in use (%s), and no migration is declared", shapes(from, to))}
	case from.KeySize() != to.KeySize() || from.ValueSize() != to.ValueSize():
		return 0, &MapChange{name, fmt.Sprintf("its entries cannot be copied: they have another size (%s)", shapes(from, to))}
	case perCPU(from) != perCPU(to):
		return 0, &MapChange{name, fmt.Sprintf("its entries cannot be copied: one has values for each CPU (%s)", shapes(from, to))}
	}
	var key, value []byte
	var values [][]byte
	it := from.Iterate()
	put := func() error { return to.Put(key, value) }
	next := func() bool { return it.Next(&key, &value) }
	if perCPU(from) {
		put = func() error { return to.Put(key, values) }
		next = func() bool { return it.Next(&key, &values) }
	}
	for next() {
		switch err := put(); {
		case err == nil:
			copied++
		case isArray(to) && isArray(from): // it has fewer: what was beyond its end has gone
		default:
			return copied, fmt.Errorf("map %s: copy its entries: %w", name, err)
		}
	}
	if err := it.Err(); err != nil {
		return copied, fmt.Errorf("map %s: read its entries: %w", name, err)
	}
	return copied, nil
}

func isArray(m *ebpf.Map) bool { return m.Type() == ebpf.Array || m.Type() == ebpf.PerCPUArray }

func perCPU(m *ebpf.Map) bool {
	return m.Type() == ebpf.PerCPUArray || m.Type() == ebpf.PerCPUHash || m.Type() == ebpf.LRUCPUHash
}

func shapes(from, to *ebpf.Map) string {
	shape := func(m *ebpf.Map) string {
		return fmt.Sprintf("%v of %d entries, keys of %d bytes, values of %d", m.Type(), m.MaxEntries(), m.KeySize(), m.ValueSize())
	}
	return shape(from) + "; now " + shape(to)
}

func mapID(b *ebpf.Map) uint32 {
	info, err := b.Info()
	if err != nil {
		return 0
	}
	id, _ := info.ID()
	return uint32(id)
}
