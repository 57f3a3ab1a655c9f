// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
)

// Map is a BPF map of a loaded extension.
type Map struct {
	Name string `json:"name"`
	ID   uint32 `json:"id"`
	Pin  string `json:"pin"`
	// Kept: it was the map of the version before, with what was in it.
	Kept bool `json:"kept,omitempty"`
}

func (m *ObjectMap) spec() *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: bpfName(m.Name), Type: ebpf.MapType(m.Type),
		KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries, Flags: m.Flags,
	}
}

// createMap makes a map and pins it.
func createMap(m *ObjectMap, pin string) (*ebpf.Map, error) {
	b, err := ebpf.NewMap(m.spec())
	if err != nil {
		return nil, refusedBPF("create map "+m.Name, err)
	}
	if err := b.Pin(pin); err != nil {
		b.Close()
		return nil, refusedBPF("pin map "+m.Name, err)
	}
	return b, nil
}

// openCompatible opens a pinned map if it is what the object declares, else
// returns nil.
func openCompatible(m *ObjectMap, pin string) (*ebpf.Map, error) {
	b, err := ebpf.LoadPinnedMap(pin, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", m.Name, err)
	}
	if m.spec().Compatible(b) != nil {
		b.Close()
		return nil, nil
	}
	return b, nil
}

func mapID(b *ebpf.Map) uint32 {
	info, err := b.Info()
	if err != nil {
		return 0
	}
	id, _ := info.ID()
	return uint32(id)
}
