// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// SecTypes is a section of an object that is not loaded: raw BTF, at most MaxTypes bytes, with
// the types of maps' keys and values, so that bpftool and others print them by name. The
// map NAME has the struct ____btf_map_NAME with the members key and value, a map without one has
// no types. It is a help for readers: the kernel may refuse it, and the map is made without.
const (
	SecTypes = ".iu.btf"
	MaxTypes = 256 << 10

	mapTypesPrefix = "____btf_map_"
)

// MapTypes is the struct that stands for a map in SecTypes.
func MapTypes(m *ObjectMap, key, value btf.Type) (*btf.Struct, error) {
	for _, c := range []struct {
		what string
		typ  btf.Type
		size uint32
	}{{"key", key, m.KeySize}, {"value", value, m.ValueSize}} {
		if n, err := btf.Sizeof(c.typ); err != nil || uint32(n) != c.size {
			return nil, fmt.Errorf("map %s: the %s's type has %d bytes, the %s %d: %w", m.Name, c.what, n, c.what, c.size, errors.Join(err))
		}
	}
	at := (m.KeySize + 7) / 8 * 8
	return &btf.Struct{Name: mapTypesPrefix + m.Name, Size: at + (m.ValueSize+7)/8*8, Members: []btf.Member{
		{Name: "key", Type: key}, {Name: "value", Type: value, Offset: btf.Bits(at * 8)},
	}}, nil
}

// ReadObjectMaps reads the maps that an object declares, and nothing else of it: it need not
// be complete.
func ReadObjectMaps(raw []byte) ([]ObjectMap, error) {
	im, err := parseImage(raw, objectLimits)
	if err != nil {
		return nil, err
	}
	var o Object
	err = o.readMaps(im)
	return o.Maps, err
}

// readTypes reads SecTypes into the object's maps.
func (o *Object) readTypes(im *image) error {
	s, err := im.section(SecTypes)
	if err != nil || s == nil {
		return err
	}
	if elf.SectionType(s.Type) != elf.SHT_PROGBITS || s.alloc() || len(s.data) > MaxTypes {
		return fmt.Errorf("%s: malformed section", SecTypes)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(s.data))
	if err != nil {
		return fmt.Errorf("%s: %w", SecTypes, err)
	}
	// Not by Spec.TypeByName, which takes three underscores for a flavour.
	byName := map[string]*btf.Struct{}
	for typ, err := range spec.All() {
		if err != nil {
			return fmt.Errorf("%s: %w", SecTypes, err)
		}
		if t, ok := typ.(*btf.Struct); ok {
			byName[t.Name] = t
		}
	}
	for i := range o.Maps {
		m := &o.Maps[i]
		t := byName[mapTypesPrefix+m.Name]
		if t == nil {
			continue
		}
		if len(t.Members) != 2 || t.Members[0].Name != "key" || t.Members[1].Name != "value" {
			return fmt.Errorf("%s: malformed types of map %s", SecTypes, m.Name)
		}
		if _, err := MapTypes(m, t.Members[0].Type, t.Members[1].Type); err != nil {
			return fmt.Errorf("%s: %w", SecTypes, err)
		}
		m.Key, m.Value = t.Members[0].Type, t.Members[1].Type
	}
	return nil
}
