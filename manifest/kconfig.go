// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strings"
)

// ConfigExpr is a condition on the kernel's configuration, in the expression
// language of Kconfig:
//
//	expr    = and *( "||" and )
//	and     = not *( "&&" not )
//	not     = "!" not | "(" expr ")" | operand [ rel operand ]
//	rel     = "=" | "!=" | "<" | "<=" | ">" | ">="
//	operand = SYMBOL | "y" | "m" | "n" | NUMBER | '"' text '"'
//
// A SYMBOL may carry the prefix CONFIG_. See
// https://docs.kernel.org/kbuild/kconfig-language.html#menu-dependencies
type ConfigExpr struct {
	root configNode
}

// configNode is one of orNode, andNode, notNode, relNode, operand.
type configNode interface {
	// eval returns the least and the greatest value the node may have.
	eval(lookup ConfigLookup) (lo, hi Tristate)
	format(b *strings.Builder, prec int)
}

type (
	orNode  struct{ kids []configNode }
	andNode struct{ kids []configNode }
	notNode struct{ kid configNode }
	relNode struct {
		op          string
		left, right operand
	}
	operand struct {
		kind operandKind
		text string // without quotes or CONFIG_
	}
)

type operandKind int

const (
	operandSymbol operandKind = iota
	operandTristate
	operandNumber
	operandString
)

// ParseConfigExpr parses an expression of at most MaxConfigExpr bytes. Errors
// name the column, counted in bytes from 1.
func ParseConfigExpr(s string) (*ConfigExpr, error) {
	if len(s) > MaxConfigExpr {
		return nil, fmt.Errorf("config expression %.20q… has %d bytes, at most %d are allowed", s, len(s), MaxConfigExpr)
	}
	p := configParser{src: s}
	if err := p.next(); err != nil {
		return nil, err
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.errorf("%s is out of place", p.tok)
	}
	return &ConfigExpr{root}, nil
}

// String returns the expression with canonical spacing and no more parentheses
// than it needs. It parses to the same expression.
func (e *ConfigExpr) String() string {
	var b strings.Builder
	e.root.format(&b, 0)
	return b.String()
}

// Conjuncts splits the expression at its outermost &&.
func (e *ConfigExpr) Conjuncts() []*ConfigExpr {
	and, ok := e.root.(andNode)
	if !ok {
		return []*ConfigExpr{e}
	}
	var out []*ConfigExpr
	for _, k := range and.kids {
		out = append(out, (&ConfigExpr{k}).Conjuncts()...)
	}
	return out
}

const (
	precOr = iota + 1
	precAnd
	precNot
)

func formatList(b *strings.Builder, kids []configNode, sep string, outer, own int) {
	if outer > own {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	for i, k := range kids {
		if i > 0 {
			b.WriteString(sep)
		}
		k.format(b, own+1)
	}
}

func (n orNode) format(b *strings.Builder, p int)  { formatList(b, n.kids, " || ", p, precOr) }
func (n andNode) format(b *strings.Builder, p int) { formatList(b, n.kids, " && ", p, precAnd) }

func (n notNode) format(b *strings.Builder, _ int) {
	b.WriteByte('!')
	_, rel := n.kid.(relNode)
	if rel {
		b.WriteByte('(')
	}
	n.kid.format(b, precNot)
	if rel {
		b.WriteByte(')')
	}
}

func (n relNode) format(b *strings.Builder, _ int) {
	n.left.format(b, 0)
	b.WriteString(n.op)
	n.right.format(b, 0)
}

func (o operand) format(b *strings.Builder, _ int) {
	if o.kind == operandString {
		b.WriteString(quoteConfig(o.text))
		return
	}
	b.WriteString(o.text)
}

func quoteConfig(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

type tokenKind int

const (
	tokEnd tokenKind = iota
	tokOp            // text is one of the operators and parentheses
	tokOperand
)

type configToken struct {
	kind tokenKind
	text string
	at   int // offset
	val  operand
}

func (t configToken) String() string {
	if t.kind == tokEnd {
		return "the end"
	}
	return fmt.Sprintf("%q", t.text)
}

type configParser struct {
	src string
	pos int
	tok configToken
}

func (p *configParser) errorf(format string, args ...any) error {
	return fmt.Errorf("config expression %q, column %d: %s", p.src, p.tok.at+1, fmt.Sprintf(format, args...))
}

// next reads one token into p.tok.
func (p *configParser) next() error {
	for p.pos < len(p.src) && (p.src[p.pos] == ' ' || p.src[p.pos] == '\t') {
		p.pos++
	}
	p.tok = configToken{at: p.pos}
	if p.pos == len(p.src) {
		return nil
	}
	rest := p.src[p.pos:]
	for _, op := range []string{"&&", "||", "!=", "<=", ">=", "=", "<", ">", "!", "(", ")"} {
		if strings.HasPrefix(rest, op) {
			p.tok.kind, p.tok.text = tokOp, op
			p.pos += len(op)
			return nil
		}
	}
	p.tok.kind = tokOperand
	if c := rest[0]; c == '"' || c == '\'' {
		return p.quoted(c)
	}
	n := 0
	if rest[0] == '-' {
		n++
	}
	for n < len(rest) && isIdentByte(rest[n]) {
		n++
	}
	if n == 0 {
		return p.errorf("unexpected %q", firstRune(rest))
	}
	p.pos += n
	p.tok.text = rest[:n]
	return p.word(rest[:n])
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}

func (p *configParser) word(w string) error {
	switch {
	case w == "y" || w == "m" || w == "n":
		p.tok.val = operand{operandTristate, w}
	case isConfigNumber(w):
		p.tok.val = operand{operandNumber, w}
	case w[0] == '-':
		return p.errorf("%q is not a number", w)
	default:
		name := strings.TrimPrefix(w, "CONFIG_")
		if name == "" || name == "y" || name == "m" || name == "n" || isConfigNumber(name) {
			return p.errorf("%q is not a symbol", w)
		}
		p.tok.val = operand{operandSymbol, name}
	}
	return nil
}

// isConfigNumber tells 64 and 0x40 from symbols such as 64BIT.
func isConfigNumber(w string) bool {
	w = strings.TrimPrefix(w, "-")
	digits := "0123456789"
	if len(w) > 2 && w[0] == '0' && (w[1] == 'x' || w[1] == 'X') {
		w, digits = w[2:], "0123456789abcdefABCDEF"
	}
	return w != "" && strings.Trim(w, digits) == ""
}

func (p *configParser) quoted(q byte) error {
	var b strings.Builder
	for i := p.pos + 1; i < len(p.src); i++ {
		switch c := p.src[i]; {
		case c == q:
			p.tok.text = p.src[p.pos : i+1]
			p.pos = i + 1
			p.tok.val = operand{operandString, b.String()}
			if s := b.String(); s == "y" || s == "m" || s == "n" {
				p.tok.val.kind = operandTristate // as Kconfig has it
			}
			return nil
		case c == '\\' && i+1 < len(p.src):
			i++
			b.WriteByte(p.src[i])
		case c < ' ' || c == 0x7f:
			return p.errorf("a control character stands in a string")
		default:
			b.WriteByte(c)
		}
	}
	return p.errorf("a string has no end")
}

func (p *configParser) list(op string, sub func() (configNode, error)) ([]configNode, error) {
	var kids []configNode
	for {
		k, err := sub()
		if err != nil {
			return nil, err
		}
		kids = append(kids, k)
		if p.tok.kind != tokOp || p.tok.text != op {
			return kids, nil
		}
		if err := p.next(); err != nil {
			return nil, err
		}
	}
}

func (p *configParser) or() (configNode, error) {
	kids, err := p.list("||", p.and)
	if err != nil || len(kids) == 1 {
		return first(kids), err
	}
	return orNode{kids}, nil
}

func (p *configParser) and() (configNode, error) {
	kids, err := p.list("&&", p.not)
	if err != nil || len(kids) == 1 {
		return first(kids), err
	}
	return andNode{kids}, nil
}

func first(kids []configNode) configNode {
	if len(kids) == 0 {
		return nil
	}
	return kids[0]
}

func (p *configParser) not() (configNode, error) {
	switch {
	case p.tok.kind == tokOp && p.tok.text == "!":
		if err := p.next(); err != nil {
			return nil, err
		}
		k, err := p.not()
		return notNode{k}, err
	case p.tok.kind == tokOp && p.tok.text == "(":
		if err := p.next(); err != nil {
			return nil, err
		}
		k, err := p.or()
		if err != nil {
			return nil, err
		}
		if p.tok.kind != tokOp || p.tok.text != ")" {
			return nil, p.errorf("want ) and found %s", p.tok)
		}
		return k, p.next()
	}
	return p.rel()
}

func (p *configParser) rel() (configNode, error) {
	if p.tok.kind != tokOperand {
		return nil, p.errorf("want a symbol and found %s", p.tok)
	}
	leftTok := p.tok
	if err := p.next(); err != nil {
		return nil, err
	}
	if p.tok.kind == tokOp {
		switch op := p.tok.text; op {
		case "=", "!=", "<", "<=", ">", ">=":
			if err := p.next(); err != nil {
				return nil, err
			}
			if p.tok.kind != tokOperand {
				return nil, p.errorf("want a symbol or a value after %s and found %s", op, p.tok)
			}
			n := relNode{op, leftTok.val, p.tok.val}
			return n, p.next()
		}
	}
	if k := leftTok.val.kind; k == operandNumber || k == operandString {
		p.tok = leftTok
		return nil, p.errorf("%s alone is no condition", leftTok.text)
	}
	return leftTok.val, nil
}
