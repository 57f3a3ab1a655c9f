// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf/btf"
	"github.com/iupkg/iupkg/manifest"
)

// BTF answers manifest.BTFLookup from the raw BTF of a kernel, such as a
// profile carries. It may not be used by two goroutines at once.
type BTF struct{ spec *btf.Spec }

// NewBTF parses the BTF of a vmlinux.
func NewBTF(raw []byte) (*BTF, error) {
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("BTF of the kernel: %w", err)
	}
	return &BTF{spec}, nil
}

// BTFLookup is the lookup for a profile, nil if it has no BTF. The BTF is parsed
// when the first question is asked; if it cannot be, all answers are unknown.
func BTFLookup(p *manifest.Profile) manifest.BTFLookup {
	if len(p.BTF) == 0 {
		return nil
	}
	return lazyBTF(sync.OnceValues(func() (*BTF, error) { return NewBTF(p.BTF) }))
}

type lazyBTF func() (*BTF, error)

// LookupBTF implements manifest.BTFLookup.
func (l lazyBTF) LookupBTF(req manifest.BTFReq) (manifest.Answer, string) {
	b, err := l()
	if err != nil {
		return manifest.Unknown, err.Error()
	}
	return b.LookupBTF(req)
}

// LookupBTF implements manifest.BTFLookup.
func (b *BTF) LookupBTF(req manifest.BTFReq) (manifest.Answer, string) {
	types, err := b.spec.AnyTypesByName(req.Name)
	if err != nil && !errors.Is(err, btf.ErrNotFound) {
		return manifest.Unknown, fmt.Sprintf("the kernel's BTF could not be read: %v", err)
	}
	found := fmt.Sprintf("this kernel has no %s %s", req.Kind, req.Name)
	for _, t := range types {
		if kindOf(t) != req.Kind {
			continue
		}
		if missing := missingMember(t, req); missing != "" {
			found = fmt.Sprintf("%s %s has no member %s", req.Kind, req.Name, missing)
			continue
		}
		return manifest.Yes, ""
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

// missingMember follows the path of a requirement and returns the part of it
// that is not there.
func missingMember(t btf.Type, req manifest.BTFReq) string {
	if e, ok := t.(*btf.Enum); ok {
		for _, want := range req.Path {
			for _, v := range e.Values {
				if v.Name == want {
					return ""
				}
			}
			return want
		}
		return ""
	}
	path := ""
	for _, want := range req.Path {
		if path != "" {
			path += "."
		}
		path += want
		if t = member(t, want, 0); t == nil {
			return path
		}
	}
	return ""
}

// member finds a member by name, also within anonymous structs and unions, the
// way C does; nil if there is none.
func member(t btf.Type, name string, depth int) btf.Type {
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
	for _, m := range members {
		if m.Name == name {
			return m.Type
		}
		if m.Name == "" {
			if t := member(m.Type, name, depth+1); t != nil {
				return t
			}
		}
	}
	return nil
}
