// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/iupkg/iupkg/kernel"
)

// reportMap is what the pass says of a map: the parameters of its Rust type.
type reportMap struct {
	Name  string                 `json:"name"`
	Map   string                 `json:"map"`   // "HashMap"
	Types map[string]*reportType `json:"types"` // by name: "K", "V"
}

// reportType is a type of plain data (llvm/src/types.cpp).
type reportType struct {
	Kind     string         `json:"kind"` // int, array, struct, bytes
	Name     string         `json:"name"`
	Size     uint32         `json:"size"`
	Align    uint32         `json:"align"` // of a parameter only
	Encoding string         `json:"encoding"`
	Count    uint32         `json:"count"`
	Of       *reportType    `json:"of"`
	Members  []reportMember `json:"members"`
}

type reportMember struct {
	Name   string      `json:"name"`
	Offset uint32      `json:"offset"`
	Type   *reportType `json:"type"`
}

var (
	btfU8  = &btf.Int{Name: "u8", Size: 1}
	btfU32 = &btf.Int{Name: "u32", Size: 4}
)

// identifier makes a name one of C: what BTF may have.
func identifier(name string) string {
	name, _, _ = strings.Cut(name, "<")
	name = strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name[:min(len(name), 100)]
}

func (t *reportType) btf() btf.Type {
	switch t.Kind {
	case "int":
		switch i := (&btf.Int{Name: identifier(t.Name), Size: t.Size}); t.Encoding {
		case "signed":
			i.Encoding = btf.Signed
			return i
		case "bool":
			i.Encoding = btf.Bool
			return i
		default:
			return i
		}
	case "array":
		if t.Of != nil {
			return &btf.Array{Index: btfU32, Type: t.Of.btf(), Nelems: t.Count}
		}
	case "struct":
		s := &btf.Struct{Name: identifier(t.Name), Size: t.Size}
		for _, m := range t.Members {
			if m.Type == nil {
				return &btf.Array{Index: btfU32, Type: btfU8, Nelems: t.Size}
			}
			s.Members = append(s.Members, btf.Member{Name: identifier(m.Name), Type: m.Type.btf(), Offset: btf.Bits(m.Offset * 8)})
		}
		return s
	}
	return &btf.Array{Index: btfU32, Type: btfU8, Nelems: t.Size}
}

// pair is a struct of two members, as C lays it out.
func pair(name string, firstName string, first *btf.Int, secondName string, second *reportType, size uint32) *btf.Struct {
	align := max(second.Align, 1)
	at := (first.Size + align - 1) / align * align
	return &btf.Struct{Name: name, Size: size, Members: []btf.Member{
		{Name: firstName, Type: first}, {Name: secondName, Type: second.btf(), Offset: btf.Bits(at * 8)},
	}}
}

// keyAndValue are a map's types as user space sees them; nil where the kernel takes none.
func (m *reportMap) keyAndValue(o *kernel.ObjectMap) (key, value btf.Type) {
	v := m.Types["V"]
	if v == nil {
		return nil, nil
	}
	switch ebpf.MapType(o.Type) {
	case ebpf.Array, ebpf.PerCPUArray:
		if m.Map == "LockedArray" || m.Map == "SizedLockedArray" {
			return btfU32, pair("Locked", "lock", btfU32, "value", v, o.ValueSize)
		}
		return btfU32, v.btf()
	case ebpf.Hash, ebpf.LRUHash, ebpf.PerCPUHash, ebpf.LRUCPUHash:
		if k := m.Types["K"]; k != nil {
			return k.btf(), v.btf()
		}
	case ebpf.LPMTrie:
		// The kernel wants a struct here.
		if k := m.Types["K"]; k != nil {
			return pair("Prefix", "prefixlen", btfU32, "data", &reportType{Kind: k.Kind, Name: k.Name, Size: k.Size, Align: 1,
				Encoding: k.Encoding, Count: k.Count, Of: k.Of, Members: k.Members}, o.KeySize), v.btf()
		}
	}
	return nil, nil
}

// mapTypes makes the section kernel.SecTypes: raw BTF of the types of maps. Empty: there
// are none.
func mapTypes(report []byte, object []byte) ([]byte, error) {
	r, err := parseReport(report)
	if err != nil {
		return nil, err
	}
	o, err := kernel.ReadObjectMaps(object)
	if err != nil {
		return nil, err
	}
	b, err := btf.NewBuilder(nil, &btf.BuilderOptions{Deduplicate: true})
	if err != nil {
		return nil, err
	}
	for i := range o {
		for _, m := range r.Maps {
			if m.Name != o[i].Name {
				continue
			}
			key, value := m.keyAndValue(&o[i])
			if key == nil {
				continue
			}
			s, err := kernel.MapTypes(&o[i], key, value)
			if err != nil {
				return nil, err
			}
			if _, err := b.Add(s); err != nil {
				return nil, fmt.Errorf("types of map %s: %w", m.Name, err)
			}
		}
	}
	if b.Empty() {
		return nil, nil
	}
	return b.Marshal(nil, nil)
}

// addTypes puts the section into the object.
func (b *builder) addTypes(work string, objcopy func(args ...string) error) error {
	report, err := os.ReadFile(filepath.Join(work, fileReport))
	if err != nil {
		return err
	}
	object, err := os.ReadFile(filepath.Join(work, fileObject))
	if err != nil {
		return err
	}
	types, err := mapTypes(report, object)
	if err != nil || len(types) == 0 {
		return err
	}
	if len(types) > kernel.MaxTypes {
		return errors.New("the types of the maps are too many")
	}
	if err := os.WriteFile(filepath.Join(work, fileTypes), types, 0o600); err != nil {
		return err
	}
	return objcopy("--add-section="+kernel.SecTypes+"="+fileTypes, fileObject)
}
