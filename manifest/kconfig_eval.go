// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"strconv"
	"strings"
)

// Tristate is the value of a Kconfig expression.
type Tristate int8

// The values, and TriUnknown for an expression that turns on a symbol whose
// value could not be read.
const (
	TriN Tristate = iota
	TriM
	TriY
	TriUnknown
)

func (t Tristate) String() string { return [...]string{"n", "m", "y", "unknown"}[t] }

// ConfigLookup returns the value of a symbol (without CONFIG_) as .config has
// it: y, m, 4096, 0x1000, "text" in its quotes; "" or n where it is not set. It
// returns false if it cannot tell. It is called more than once for a symbol.
type ConfigLookup = func(sym string) (val string, known bool)

// Cause is a symbol that keeps an expression from holding.
type Cause struct {
	Symbol string
	Wanted string // "FUNCTION_ERROR_INJECTION=y", "NET_CLS_ACT=y or m"
	Found  string // as .config has it, n if not set, empty if it could not be told
}

// Eval returns the value of the expression by the kernel's rules: && is the
// lesser, || the greater, ! is y minus the value, and a comparison is y or n.
// The condition holds unless that is n. If it is n or unknown, the causes are
// the symbols that make it so, in the order of the expression: all of those
// in an &&, any of those in an ||.
//
// A symbol that is not set counts as n. Where the kernel would compare its own
// name with a number (what Kconfig does with symbols nobody defines), < <= >
// and >= are n.
func (e *ConfigExpr) Eval(lookup ConfigLookup) (Tristate, []Cause) {
	lo, hi := e.root.eval(lookup)
	switch {
	case lo > TriN:
		return lo, nil
	case hi > TriN:
		return TriUnknown, causes(nil, e.root, lookup, want{1, true}, Unknown)
	default:
		return TriN, causes(nil, e.root, lookup, want{1, true}, No)
	}
}

func (n orNode) eval(lookup ConfigLookup) (lo, hi Tristate) {
	for _, k := range n.kids {
		l, h := k.eval(lookup)
		lo, hi = max(lo, l), max(hi, h)
	}
	return lo, hi
}

func (n andNode) eval(lookup ConfigLookup) (lo, hi Tristate) {
	lo, hi = TriY, TriY
	for _, k := range n.kids {
		l, h := k.eval(lookup)
		lo, hi = min(lo, l), min(hi, h)
	}
	return lo, hi
}

func (n notNode) eval(lookup ConfigLookup) (lo, hi Tristate) {
	l, h := n.kid.eval(lookup)
	return TriY - h, TriY - l
}

func (o operand) eval(lookup ConfigLookup) (lo, hi Tristate) {
	v, ok := o.value(lookup)
	if !ok {
		return TriN, TriY
	}
	t := v.tristate()
	return t, t
}

func (n relNode) eval(lookup ConfigLookup) (lo, hi Tristate) {
	l, lok := n.left.value(lookup)
	r, rok := n.right.value(lookup)
	if !lok || !rok {
		return TriN, TriY
	}
	if n.holds(l, r) {
		return TriY, TriY
	}
	return TriN, TriN
}

func (n relNode) holds(l, r configValue) bool {
	unset := func(a, b configValue) bool { return a.unset && b.kind != valueTristate }
	c := l.compare(r)
	switch n.op {
	case "=":
		return c == 0
	case "!=":
		return c != 0
	}
	if unset(l, r) || unset(r, l) {
		return false
	}
	switch n.op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	default:
		return c >= 0
	}
}

// configValue is a symbol's value or a constant, with the type that Kconfig
// would know from the symbol's definition and .config shows by the form.
type configValue struct {
	kind  valueKind
	text  string
	unset bool
}

type valueKind int

const (
	valueTristate valueKind = iota
	valueInt
	valueHex
	valueString
	valueConst // a literal: S_UNKNOWN
)

func (o operand) value(lookup ConfigLookup) (configValue, bool) {
	switch o.kind {
	case operandTristate:
		return configValue{kind: valueTristate, text: o.text}, true
	case operandNumber, operandString:
		return configValue{kind: valueConst, text: o.text}, true
	}
	raw, ok := lookup(o.text)
	if !ok {
		return configValue{}, false
	}
	return parseConfigValue(raw), true
}

func parseConfigValue(raw string) configValue {
	switch {
	case raw == "" || raw == "n":
		return configValue{valueTristate, "n", true}
	case raw == "y" || raw == "m":
		return configValue{kind: valueTristate, text: raw}
	case len(raw) >= 2 && raw[0] == '"' && raw[len(raw)-1] == '"':
		return configValue{kind: valueString, text: unquoteConfig(raw[1 : len(raw)-1])}
	case strings.HasPrefix(raw, "0x") || strings.HasPrefix(raw, "0X"):
		return configValue{kind: valueHex, text: raw}
	case isConfigNumber(raw):
		return configValue{kind: valueInt, text: raw}
	}
	return configValue{kind: valueString, text: raw}
}

func unquoteConfig(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func (v configValue) tristate() Tristate {
	if v.kind != valueTristate {
		return TriN
	}
	switch v.text {
	case "y":
		return TriY
	case "m":
		return TriM
	}
	return TriN
}

// compare is __expr_calc_value of scripts/kconfig/expr.c.
func (v configValue) compare(o configValue) int {
	if v.kind == valueString && o.kind == valueString {
		return strings.Compare(v.text, o.text)
	}
	a, aKind := v.number()
	b, bKind := o.number()
	switch {
	case aKind == notNumber || bKind == notNumber:
		return strings.Compare(v.text, o.text)
	case aKind == unsigned || bKind == unsigned:
		return cmp.Compare(a, b)
	default:
		return cmp.Compare(int64(a), int64(b))
	}
}

type numberKind int

const (
	notNumber numberKind = iota
	signed
	unsigned
)

// number is expr_parse_string of scripts/kconfig/expr.c.
func (v configValue) number() (uint64, numberKind) {
	switch v.kind {
	case valueTristate:
		return uint64(v.tristate()), signed
	case valueHex:
		u, err := strconv.ParseUint(trimHex(v.text), 16, 64)
		if err != nil {
			return 0, notNumber
		}
		return u, unsigned
	}
	s, neg := strings.CutPrefix(v.text, "-")
	if !isConfigNumber(s) {
		return 0, notNumber
	}
	base := 10
	if v.kind != valueInt && len(s) > 1 && s[0] == '0' {
		base = 8
		if s[1] == 'x' || s[1] == 'X' {
			base, s = 16, s[2:]
		}
	}
	if neg {
		s = "-" + s
	}
	i, err := strconv.ParseInt(s, base, 64)
	if err != nil {
		return 0, notNumber
	}
	return uint64(i), signed
}

func trimHex(s string) string {
	return strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
}

// want is a bound on the value of a node.
type want struct {
	n  Tristate
	up bool // at least n, else at most n
}

// judge answers whether a node meets the bound.
func (w want) judge(n configNode, lookup ConfigLookup) Answer {
	lo, hi := n.eval(lookup)
	if !w.up {
		lo, hi = -hi, -lo
		w.n = -w.n
	}
	switch {
	case lo >= w.n:
		return Yes
	case hi < w.n:
		return No
	}
	return Unknown
}

// causes appends the leaves under n that give the answer a to the question
// whether n meets w.
func causes(out []Cause, n configNode, lookup ConfigLookup, w want, a Answer) []Cause {
	kids := func(list []configNode) {
		for _, k := range list {
			if w.judge(k, lookup) == a {
				out = causes(out, k, lookup, w, a)
			}
		}
	}
	switch n := n.(type) {
	case orNode:
		kids(n.kids)
	case andNode:
		kids(n.kids)
	case notNode:
		out = causes(out, n.kid, lookup, want{TriY - w.n, !w.up}, a)
	case operand:
		if n.kind == operandSymbol {
			out = addCause(out, n, lookup, n.text+w.values())
		}
	case relNode:
		op := n.op
		if !w.up {
			op = map[string]string{"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}[op]
		}
		wanted := (&ConfigExpr{relNode{op, n.left, n.right}}).String()
		for _, o := range []operand{n.left, n.right} {
			if o.kind != operandSymbol {
				continue
			}
			if _, ok := lookup(o.text); ok == (a == No) {
				out = addCause(out, o, lookup, wanted)
			}
		}
	}
	return out
}

// values is what a lone symbol should be. A symbol that is in the way under a
// ! is wanted off: most are bool, for which m does not exist.
func (w want) values() string {
	switch {
	case !w.up:
		return "=n"
	case w.n == TriM:
		return "=y or m"
	}
	return "=y"
}

func addCause(out []Cause, o operand, lookup ConfigLookup, wanted string) []Cause {
	c := Cause{Symbol: o.text, Wanted: wanted}
	if v, ok := lookup(o.text); ok {
		c.Found = cmp.Or(v, "n")
	}
	for _, have := range out {
		if have == c {
			return out
		}
	}
	return append(out, c)
}

// ParseKernelConfig reads the text of a .config into values as ConfigLookup
// returns them, without CONFIG_ and without the symbols that are not set. Lines
// that are neither comment nor assignment are refused.
func ParseKernelConfig(b []byte) (map[string]string, error) {
	out := make(map[string]string, 8192)
	line := 0
	for l := range strings.Lines(string(b)) {
		line++
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' {
			continue
		}
		name, val, ok := strings.Cut(l, "=")
		name, pre := strings.CutPrefix(name, "CONFIG_")
		if !ok || !pre || name == "" || strings.IndexFunc(name, func(r rune) bool { return r > 0x7f || !isIdentByte(byte(r)) }) >= 0 {
			return nil, &SyntaxError{Line: line, Column: 1, Msg: "want CONFIG_NAME=value"}
		}
		out[name] = val
	}
	return out, nil
}
