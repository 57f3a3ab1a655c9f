// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf/btf"
	"github.com/iupkg/iupkg/manifest"
)

// BTF answers manifest.BTFLookup from the raw BTF of a kernel and of its modules,
// such as a profile carries. It may not be used by two goroutines at once.
type BTF struct {
	vmlinux *btf.Spec
	modules map[string][]byte // not parsed before they are asked
	parsed  []*btf.Spec       // of the modules, in the order of their names
}

// NewBTF parses the BTF of a vmlinux; modules may be nil.
func NewBTF(vmlinux []byte, modules map[string][]byte) (*BTF, error) {
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(vmlinux))
	if err != nil {
		return nil, fmt.Errorf("BTF of the kernel: %w", err)
	}
	return &BTF{vmlinux: spec, modules: modules}, nil
}

// BTFLookup is the lookup for a profile, nil if it has no BTF that can be read;
// every BTF requirement is unknown then.
func BTFLookup(p *manifest.Profile) manifest.BTFLookup {
	return lookupIn(p.BTF, func() map[string][]byte { return p.ModuleTypes })
}

func lookupIn(vmlinux []byte, modules func() map[string][]byte) manifest.BTFLookup {
	if len(vmlinux) == 0 {
		return nil
	}
	return &lazyBTF{vmlinux: vmlinux, modules: modules}
}

// lazyBTF parses BTF when it is first asked, as most packages ask for none.
type lazyBTF struct {
	vmlinux []byte
	modules func() map[string][]byte
	btf     *BTF
	err     error
}

// LookupBTF implements manifest.BTFLookup.
func (l *lazyBTF) LookupBTF(req manifest.BTFReq) (manifest.Answer, string) {
	if l.btf == nil && l.err == nil {
		l.btf, l.err = NewBTF(l.vmlinux, l.modules())
	}
	if l.err != nil {
		return manifest.Unknown, l.err.Error()
	}
	return l.btf.LookupBTF(req)
}

// LookupBTF implements manifest.BTFLookup. Of several things by one name any will
// do; if none does, it says of the last what it lacks.
func (b *BTF) LookupBTF(req manifest.BTFReq) (manifest.Answer, string) {
	a, found := lookupBTF(b.vmlinux, req)
	if a == manifest.Yes || len(b.modules) == 0 {
		return a, found
	}
	if b.parsed == nil {
		for _, name := range slices.Sorted(maps.Keys(b.modules)) {
			spec, err := btf.LoadSplitSpecFromReader(bytes.NewReader(b.modules[name]), b.vmlinux)
			if err != nil {
				return manifest.Unknown, fmt.Sprintf("BTF of the module %s: %v", name, err)
			}
			b.parsed = append(b.parsed, spec)
		}
	}
	for _, spec := range b.parsed {
		if a, _ := lookupBTF(spec, req); a == manifest.Yes {
			return a, ""
		}
	}
	return a, found
}

func lookupBTF(spec *btf.Spec, req manifest.BTFReq) (manifest.Answer, string) {
	types, err := spec.AnyTypesByName(req.Name)
	if err != nil && !errors.Is(err, btf.ErrNotFound) {
		return manifest.Unknown, fmt.Sprintf("the kernel's BTF could not be read: %v", err)
	}
	found := fmt.Sprintf("this kernel has no %s %s", req.Kind, req.Name)
	for _, t := range types {
		if kindOf(t) != req.Kind {
			continue
		}
		lacks := judgeType(t, req)
		if lacks == "" {
			return manifest.Yes, ""
		}
		found = lacks
	}
	return manifest.No, found
}

func kindOf(t btf.Type) string {
	switch t.(type) {
	case *btf.Struct:
		return "struct"
	case *btf.Union:
		return "union"
	case *btf.Enum:
		return "enum"
	case *btf.Typedef:
		return "typedef"
	case *btf.Func:
		return "func"
	}
	return ""
}

// judgeType says what a type lacks of a requirement on one of its kind and name.
func judgeType(t btf.Type, req manifest.BTFReq) (lacks string) {
	what := req.Kind + " " + req.Name
	if f, ok := t.(*btf.Func); ok {
		if req.Func == nil {
			return ""
		}
		proto, ok := f.Type.(*btf.FuncProto)
		if !ok || !sameSignature(*req.Func, proto) {
			return what + " is " + signatureText(proto) + " on this kernel"
		}
		return ""
	}
	if e, ok := t.(*btf.Enum); ok && len(req.Path) > 0 {
		if !slices.ContainsFunc(e.Values, func(v btf.EnumValue) bool { return v.Name == req.Path[0] }) {
			return what + " has no member " + req.Path[0]
		}
		return ""
	}
	bits := uint32(0)
	path := ""
	for _, want := range req.Path {
		if path != "" {
			path += "."
		}
		path += want
		m := member(t, want, 0)
		if m == nil {
			return what + " has no member " + path
		}
		t, bits = m.Type, uint32(m.BitfieldSize)
	}
	if path != "" {
		what += "." + path
	}
	if req.SizeOp != "" {
		size, err := btf.Sizeof(t)
		switch {
		case bits > 0:
			return what + " is a bit-field on this kernel"
		case err != nil:
			return what + " has no size on this kernel"
		case !compareInts(size, req.SizeOp, req.Size):
			return fmt.Sprintf("%s has %d bytes on this kernel", what, size)
		}
	}
	if req.Type == nil {
		return ""
	}
	if td, ok := t.(*btf.Typedef); ok && req.Kind == "typedef" && len(req.Path) == 0 {
		t = td.Type
	}
	if !sameType(*req.Type, t) {
		return what + " is " + typeText(t) + " on this kernel"
	}
	return ""
}

func compareInts(a int, op string, b int) bool {
	switch op {
	case "=":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	}
	return a >= b
}

// member finds a member by name, also within anonymous structs and unions, the
// way C does; nil if there is none.
func member(t btf.Type, name string, depth int) *btf.Member {
	if depth > 16 {
		return nil
	}
	var members []btf.Member
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	default:
		return nil
	}
	for i := range members {
		m := &members[i]
		if m.Name == name {
			return m
		}
		if m.Name == "" {
			if in := member(m.Type, name, depth+1); in != nil {
				return in
			}
		}
	}
	return nil
}

// peel takes off what does not count: qualifiers and tags.
func peel(t btf.Type) btf.Type {
	for range 16 {
		switch q := t.(type) {
		case *btf.Const:
			t = q.Type
		case *btf.Volatile:
			t = q.Type
		case *btf.Restrict:
			t = q.Type
		case *btf.TypeTag:
			t = q.Type
		default:
			return t
		}
	}
	return t
}

// sameType compares a type as C writes it with one of BTF; a typedef is both
// itself and what it stands for.
func sameType(want manifest.CType, have btf.Type) bool {
	if want.Base == "_" {
		return true
	}
	for range 32 {
		have = peel(have)
		switch {
		case len(want.Dims) > 0:
			if a, ok := have.(*btf.Array); ok {
				inner := want
				inner.Dims = want.Dims[1:]
				return int(a.Nelems) == want.Dims[0] && sameType(inner, a.Type)
			}
		case want.Pointers > 0:
			if p, ok := have.(*btf.Pointer); ok {
				inner := want
				inner.Pointers--
				return sameType(inner, p.Target)
			}
		case baseName(have) == want.Base:
			return true
		}
		td, ok := have.(*btf.Typedef)
		if !ok {
			return false
		}
		have = td.Type
	}
	return false
}

// baseName is a type without pointers and dimensions as C names it.
func baseName(t btf.Type) string {
	switch t := t.(type) {
	case *btf.Void:
		return "void"
	case *btf.Fwd:
		return t.Kind.String() + " " + t.Name
	case *btf.Struct, *btf.Union, *btf.Enum:
		return kindOf(t) + " " + t.TypeName()
	case *btf.Int:
		return manifest.CanonicalInteger(t.Name)
	case *btf.Pointer, *btf.Array, *btf.FuncProto:
		return ""
	}
	return t.TypeName()
}

func sameSignature(want manifest.CFunc, have *btf.FuncProto) bool {
	params := have.Params
	// BTF has a nameless parameter of no type for "...".
	variadic := false
	if n := len(params); n > 0 && params[n-1].Name == "" {
		if _, ok := params[n-1].Type.(*btf.Void); ok {
			variadic, params = true, params[:n-1]
		}
	}
	if variadic != want.Variadic || len(params) != len(want.Params) || !sameType(want.Result, have.Return) {
		return false
	}
	for i := range params {
		if !sameType(want.Params[i], params[i].Type) {
			return false
		}
	}
	return true
}

// ctypeOf is a type of BTF in C's terms, as far as a requirement can state it.
func ctypeOf(t btf.Type) manifest.CType {
	var c manifest.CType
	for range 32 {
		t = peel(t)
		switch q := t.(type) {
		case *btf.Array:
			if c.Pointers > 0 { // which a requirement cannot state
				return manifest.CType{Base: "_"}
			}
			c.Dims = append(c.Dims, int(q.Nelems))
			t = q.Type
			continue
		case *btf.Pointer:
			c.Pointers++
			t = q.Target
			continue
		}
		break
	}
	if c.Base = baseName(t); c.Base == "" || c.Base[len(c.Base)-1] == ' ' {
		return manifest.CType{Base: "_"} // a function, or without a name
	}
	return c
}

func typeText(t btf.Type) string { return ctypeOf(t).String() }

func signatureText(f *btf.FuncProto) string {
	if f == nil {
		return "of no known signature"
	}
	c := manifest.CFunc{Result: ctypeOf(f.Return)}
	for i, p := range f.Params {
		if _, void := p.Type.(*btf.Void); void && i == len(f.Params)-1 {
			c.Variadic = true
			continue
		}
		c.Params = append(c.Params, ctypeOf(p.Type))
	}
	return c.String()
}
