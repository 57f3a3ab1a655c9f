// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// BTFReq is one thing that the kernel's BTF must have; see
// https://docs.kernel.org/bpf/btf.html. The language:
//
//	btf    = type | func
//	type   = kind NAME *( "." NAME ) [ "size" rel NUMBER ] [ ":" ctype ]
//	kind   = "struct" | "union" | "enum" | "typedef"
//	func   = "func" NAME [ "(" [ ctype *( "," ctype ) ] [ "," "..." ] ")" "->" ctype ]
//	rel    = "=" | "!=" | "<" | "<=" | ">" | ">="
//	ctype  = "_" | base *( "*" ) *( "[" NUMBER "]" )
//	base   = "void" | NAME | integer | ( "struct" | "union" | "enum" ) NAME
//
// A path goes through members, also those of anonymous structs and unions; that of
// an enum is one enumerator, a typedef has none. The size is in bytes. A ctype is
// what the member, the parameter or the result is declared as; typedefs and
// what they stand for are the same, const and volatile do not count, integers are
// written as in C in any order, "_" is any type. "void" as the only parameter is
// none.
type BTFReq struct {
	Kind string   // struct, union, enum, typedef, func
	Name string   // of the type or function
	Path []string // members; one enumerator for an enum; none for typedef and func

	SizeOp string // empty: any size
	Size   int    // bytes
	Type   *CType // nil: any
	Func   *CFunc // nil: any signature
}

// CFunc is the signature of a function.
type CFunc struct {
	Params   []CType
	Variadic bool
	Result   CType
}

// CType is a type in C's terms.
type CType struct {
	// Base is "_", "void", "struct NAME" and the like, the name of a typedef, or
	// an integer's in the words' canonical order: "unsigned int", "long".
	Base     string
	Pointers int
	Dims     []int // of an array, outermost first
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
	if len(s) > MaxBTFReq {
		return BTFReq{}, fmt.Errorf("BTF requirement %.20q… has %d bytes, at most %d are allowed", s, len(s), MaxBTFReq)
	}
	p := ctypeParser{src: s}
	r, err := p.req()
	if err != nil {
		return BTFReq{}, fmt.Errorf("%.300q is not a BTF requirement: %w", s, err)
	}
	return r, nil
}

// ctypeParser reads words and single marks.
type ctypeParser struct {
	src string
	pos int
	tok string // empty at the end
}

func (p *ctypeParser) next() {
	for p.pos < len(p.src) && (p.src[p.pos] == ' ' || p.src[p.pos] == '\t') {
		p.pos++
	}
	start := p.pos
	for p.pos < len(p.src) && isIdentByte(p.src[p.pos]) {
		p.pos++
	}
	if p.pos > start {
		p.tok = p.src[start:p.pos]
		return
	}
	for _, mark := range []string{"->", "...", "!=", "<=", ">="} {
		if strings.HasPrefix(p.src[p.pos:], mark) {
			p.tok = mark
			p.pos += len(mark)
			return
		}
	}
	p.tok = firstRune(p.src[p.pos:])
	p.pos += len(p.tok)
}

// take reads the token if it is that.
func (p *ctypeParser) take(tok string) bool {
	if p.tok != tok {
		return false
	}
	p.next()
	return true
}

func (p *ctypeParser) found() string {
	if p.tok == "" {
		return "the end"
	}
	return strconv.Quote(p.tok)
}

func (p *ctypeParser) name() (string, error) {
	n := p.tok
	if n == "" || !isIdentByte(n[0]) || n[0] >= '0' && n[0] <= '9' {
		return "", fmt.Errorf("want a C name and found %s", p.found())
	}
	p.next()
	return n, nil
}

func (p *ctypeParser) number() (int, error) {
	n, err := strconv.ParseUint(p.tok, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("want a number and found %s", p.found())
	}
	p.next()
	return int(n), nil
}

func (p *ctypeParser) req() (r BTFReq, err error) {
	p.next()
	r.Kind = p.tok
	depth, known := map[string]int{"struct": 8, "union": 8, "enum": 1, "typedef": 0, "func": 0}[r.Kind]
	if !known {
		return r, fmt.Errorf("%s is none of struct, union, enum, typedef and func: write \"struct NAME.member\" or \"func NAME\"", p.found())
	}
	p.next()
	if r.Name, err = p.name(); err != nil {
		return r, err
	}
	for p.take(".") {
		n, err := p.name()
		if err != nil {
			return r, err
		}
		r.Path = append(r.Path, n)
	}
	if len(r.Path) > depth {
		return r, fmt.Errorf("%s takes at most %d members", r.Kind, depth)
	}
	if r.Kind == "func" {
		err = p.signature(&r)
	} else {
		err = p.sizeAndType(&r)
	}
	if err == nil && p.tok != "" {
		err = fmt.Errorf("%s is out of place", p.found())
	}
	return r, err
}

func (p *ctypeParser) sizeAndType(r *BTFReq) (err error) {
	if p.take("size") {
		switch r.SizeOp = p.tok; r.SizeOp {
		case "=", "!=", "<", "<=", ">", ">=":
		default:
			return fmt.Errorf("want =, !=, <, <=, > or >= after size and found %s", p.found())
		}
		p.next()
		if r.Size, err = p.number(); err != nil {
			return err
		}
		if r.Kind == "enum" && len(r.Path) > 0 {
			return fmt.Errorf("an enumerator has no size")
		}
	}
	if p.take(":") {
		if r.Kind != "typedef" && len(r.Path) == 0 || r.Kind == "enum" {
			return fmt.Errorf("only members and typedefs have a type")
		}
		t, err := p.ctype()
		if err != nil {
			return err
		}
		r.Type = &t
	}
	return nil
}

func (p *ctypeParser) signature(r *BTFReq) error {
	if !p.take("(") {
		return nil
	}
	f := &CFunc{}
	for !p.take(")") {
		if len(f.Params) > 0 && !p.take(",") {
			return fmt.Errorf("want , or ) and found %s", p.found())
		}
		if len(f.Params) > 0 && p.take("...") {
			f.Variadic = true
			if p.tok != ")" {
				return fmt.Errorf("want ) after ... and found %s", p.found())
			}
			continue
		}
		t, err := p.ctype()
		if err != nil {
			return err
		}
		f.Params = append(f.Params, t)
	}
	if len(f.Params) == 1 && f.Params[0].void() && !f.Variadic {
		f.Params = nil
	}
	if slices.ContainsFunc(f.Params, CType.void) {
		return fmt.Errorf("void is no parameter among others")
	}
	if !p.take("->") {
		return fmt.Errorf("want -> and the result's type, found %s", p.found())
	}
	t, err := p.ctype()
	if err != nil {
		return err
	}
	f.Result, r.Func = t, f
	return nil
}

func (t CType) void() bool { return t.Base == "void" && t.Pointers == 0 }

var integerWords = []string{"signed", "unsigned", "char", "short", "int", "long"}

func (p *ctypeParser) ctype() (t CType, err error) {
	skip := func() {
		for p.tok == "const" || p.tok == "volatile" {
			p.next()
		}
	}
	skip()
	switch {
	case p.tok == "struct" || p.tok == "union" || p.tok == "enum":
		kind := p.tok
		p.next()
		n, err := p.name()
		if err != nil {
			return t, err
		}
		t.Base = kind + " " + n
	case slices.Contains(integerWords, p.tok):
		var words []string
		for slices.Contains(integerWords, p.tok) {
			words = append(words, p.tok)
			p.next()
		}
		if t.Base = canonicalInteger(words); t.Base == "" {
			return t, fmt.Errorf("%q is not an integer type", strings.Join(words, " "))
		}
	default:
		if t.Base, err = p.name(); err != nil {
			return t, err
		}
		if t.Base == "_" {
			return t, nil
		}
	}
	skip()
	for p.take("*") {
		t.Pointers++
		skip()
	}
	if t.Pointers > 4 {
		return t, fmt.Errorf("more than 4 pointers")
	}
	for p.take("[") {
		n, err := p.number()
		if err != nil {
			return t, err
		}
		if !p.take("]") {
			return t, fmt.Errorf("want ] and found %s", p.found())
		}
		if t.Dims = append(t.Dims, n); len(t.Dims) > 4 {
			return t, fmt.Errorf("more than 4 dimensions")
		}
	}
	if t.void() && len(t.Dims) > 0 {
		return t, fmt.Errorf("an array of void")
	}
	return t, nil
}

// CanonicalInteger is the canonical form of an integer type's name, as C and BTF
// write the same type in several ways; other names stay as they are.
func CanonicalInteger(name string) string {
	words := strings.Fields(name)
	for _, w := range words {
		if !slices.Contains(integerWords, w) {
			return name
		}
	}
	if s := canonicalInteger(words); s != "" {
		return s
	}
	return name
}

// canonicalInteger is "unsigned int" for "unsigned", "long" for "long int"; empty
// if C has no such type.
func canonicalInteger(words []string) string {
	n := map[string]int{}
	for _, w := range words {
		n[w]++
	}
	if n["signed"] > 1 || n["unsigned"] > 1 || n["signed"]+n["unsigned"] > 1 || n["int"] > 1 || n["char"] > 1 || n["short"] > 1 ||
		n["long"] > 2 || n["char"] > 0 && n["int"]+n["short"]+n["long"] > 0 || n["short"] > 0 && n["long"] > 0 {
		return ""
	}
	sign := ""
	switch {
	case n["unsigned"] > 0:
		sign = "unsigned "
	case n["signed"] > 0 && n["char"] > 0:
		sign = "signed "
	}
	switch {
	case n["char"] > 0:
		return sign + "char"
	case n["short"] > 0:
		return sign + "short"
	case n["long"] == 2:
		return sign + "long long"
	case n["long"] == 1:
		return sign + "long"
	}
	return sign + "int"
}

// String returns the canonical form.
func (r BTFReq) String() string {
	s := r.Kind + " " + strings.Join(append([]string{r.Name}, r.Path...), ".")
	if r.SizeOp != "" {
		s += " size" + r.SizeOp + strconv.Itoa(r.Size)
	}
	if r.Type != nil {
		s += ": " + r.Type.String()
	}
	if r.Func != nil {
		s += r.Func.String()
	}
	return s
}

// String is "(struct sk_buff *) -> int".
func (f CFunc) String() string {
	var parts []string
	for _, p := range f.Params {
		parts = append(parts, p.String())
	}
	if f.Variadic {
		parts = append(parts, "...")
	}
	return "(" + strings.Join(parts, ", ") + ") -> " + f.Result.String()
}

// String is "struct sock *", "char [16]".
func (t CType) String() string {
	s := t.Base
	if t.Pointers > 0 {
		s += " " + strings.Repeat("*", t.Pointers)
	}
	for i, d := range t.Dims {
		if i == 0 && t.Pointers == 0 {
			s += " "
		}
		s += "[" + strconv.Itoa(d) + "]"
	}
	return s
}
