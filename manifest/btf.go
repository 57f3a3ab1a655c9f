// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strings"
)

// BTFReq is one thing that the kernel's BTF must have: "struct sk_buff",
// "struct sk_buff.len", "struct sock.__sk_common.skc_family", "union x.y",
// "enum bpf_cmd.BPF_PROG_LOAD", "typedef u32", "func tcp_v4_rcv". See
// https://docs.kernel.org/bpf/btf.html
type BTFReq struct {
	Kind string   // struct, union, enum, typedef, func
	Name string   // of the type or function
	Path []string // members; one enumerator for an enum; none for typedef and func
}

// BTFLookup answers from the BTF of a kernel. A package that can read BTF
// implements it; found says in plain words what is there instead, in a clause
// such as "struct sk_buff has no member len", and is empty for Yes.
// Implementations may be asked the same thing often and from one goroutine.
type BTFLookup interface {
	LookupBTF(req BTFReq) (a Answer, found string)
}

// ParseBTFReq parses a requirement of at most MaxBTFReq bytes.
func ParseBTFReq(s string) (BTFReq, error) {
	bad := func(why string) (BTFReq, error) {
		return BTFReq{}, fmt.Errorf("%.300q is not a BTF requirement: %s", s, why)
	}
	if len(s) > MaxBTFReq {
		return BTFReq{}, fmt.Errorf("BTF requirement %.20q… has %d bytes, at most %d are allowed", s, len(s), MaxBTFReq)
	}
	f := strings.Fields(s)
	if len(f) != 2 {
		return bad(`write "struct NAME", "struct NAME.member" or "func NAME"`)
	}
	parts := strings.Split(f[1], ".")
	r := BTFReq{Kind: f[0], Name: parts[0], Path: parts[1:]}
	depth := 8
	switch r.Kind {
	case "struct", "union":
	case "enum":
		depth = 1
	case "typedef", "func":
		depth = 0
	default:
		return bad(fmt.Sprintf("%q is none of struct, union, enum, typedef and func", r.Kind))
	}
	for _, p := range parts {
		if p == "" || p[0] >= '0' && p[0] <= '9' || strings.IndexFunc(p, func(c rune) bool { return c > 0x7f || !isIdentByte(byte(c)) }) >= 0 {
			return bad(fmt.Sprintf("%q is not a C name", p))
		}
	}
	if len(r.Path) > depth {
		return bad(fmt.Sprintf("%s takes at most %d members", r.Kind, depth))
	}
	if len(r.Path) == 0 {
		r.Path = nil
	}
	return r, nil
}

// String returns the canonical form.
func (r BTFReq) String() string {
	return r.Kind + " " + strings.Join(append([]string{r.Name}, r.Path...), ".")
}
