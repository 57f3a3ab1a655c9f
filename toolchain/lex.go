// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lex splits Rust source into tokens, as far as finding words needs it: comments
// are dropped, literals are one token, every other character is a token of its
// own. (https://doc.rust-lang.org/reference/tokens.html)
func lex(src []byte) ([]token, error) {
	l := &lexer{src: strings.TrimPrefix(string(src), "\ufeff"), line: 1}
	// The compiler drops such a line, unless an attribute follows after all.
	if strings.HasPrefix(l.src, "#!") && !strings.HasPrefix(l.src, "#![") {
		return nil, l.fail("a source file does not begin with #! other than for an attribute")
	}
	for l.pos < len(l.src) {
		if err := l.next(); err != nil {
			return nil, err
		}
	}
	return l.out, nil
}

type tokenKind int

const (
	tokPunct tokenKind = iota
	tokIdent
	tokLiteral
)

type token struct {
	kind tokenKind
	text string // of a raw identifier, without r#
	line int
}

type lexError struct {
	line int
	what string
}

func (e *lexError) Error() string { return e.what }

type lexer struct {
	src       string
	pos, line int
	out       []token
}

func (l *lexer) rest() string { return l.src[l.pos:] }

// take moves on by n bytes.
func (l *lexer) take(n int) string {
	s := l.src[l.pos : l.pos+n]
	l.pos += n
	l.line += strings.Count(s, "\n")
	return s
}

func (l *lexer) emit(kind tokenKind, n int) {
	line := l.line
	l.out = append(l.out, token{kind, l.take(n), line})
}

func (l *lexer) fail(what string) error { return &lexError{l.line, what} }

func (l *lexer) next() error {
	s := l.rest()
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case unicode.IsSpace(r):
		l.take(size)
	case strings.HasPrefix(s, "//"):
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			l.take(i)
		} else {
			l.take(len(s))
		}
	case strings.HasPrefix(s, "/*"):
		return l.blockComment()
	case r == '"':
		return l.quoted(0)
	case r == '\'':
		return l.charOrLifetime()
	case isIdentStart(r):
		return l.word()
	case r >= '0' && r <= '9':
		// 1.5e-3 comes out as several tokens, none of which is a word.
		l.emit(tokLiteral, len(s)-len(strings.TrimLeftFunc(s, isIdentPart)))
	default:
		l.emit(tokPunct, size)
	}
	return nil
}

func isIdentStart(r rune) bool { return r == '_' || unicode.IsLetter(r) }
func isIdentPart(r rune) bool {
	return isIdentStart(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Mc, r) || unicode.Is(unicode.Pc, r)
}

// Block comments nest.
func (l *lexer) blockComment() error {
	start := l.line
	for depth := 0; ; {
		switch s := l.rest(); {
		case s == "":
			return &lexError{start, "a comment does not end"}
		case strings.HasPrefix(s, "/*"):
			depth++
			l.take(2)
		case strings.HasPrefix(s, "*/"):
			depth--
			l.take(2)
			if depth == 0 {
				return nil
			}
		default:
			l.take(1)
		}
	}
}

// quoted takes a string with escapes whose quote is at offset prefix.
func (l *lexer) quoted(prefix int) error {
	s := l.rest()
	for i := prefix + 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			l.emit(tokLiteral, i+1)
			return nil
		}
	}
	return l.fail("a string does not end")
}

// word takes an identifier, or what begins like one: raw identifiers and
// prefixed literals.
func (l *lexer) word() error {
	s := l.rest()
	n := len(s) - len(strings.TrimLeftFunc(s, isIdentPart))
	prefix, after := s[:n], s[n:]
	switch prefix {
	case "r", "br", "cr":
		hashes := len(after) - len(strings.TrimLeft(after, "#"))
		if strings.HasPrefix(after[hashes:], `"`) {
			end := strings.Index(after[hashes+1:], `"`+strings.Repeat("#", hashes))
			if end < 0 {
				return l.fail("a raw string does not end")
			}
			l.emit(tokLiteral, n+hashes+1+end+1+hashes)
			return nil
		}
		if prefix == "r" && hashes == 1 {
			if r, _ := utf8.DecodeRuneInString(after[1:]); isIdentStart(r) {
				l.take(2)
				return l.word()
			}
		}
	case "b", "c":
		if strings.HasPrefix(after, `"`) {
			return l.quoted(n)
		}
		if prefix == "b" && strings.HasPrefix(after, "'") {
			l.take(n)
			return l.charOrLifetime()
		}
	}
	l.emit(tokIdent, n)
	return nil
}

// charOrLifetime tells 'a' from 'a.
func (l *lexer) charOrLifetime() error {
	s := l.rest()
	if strings.HasPrefix(s, `'\`) {
		for i := 3; i < len(s) && s[i] != '\n'; i++ {
			if s[i] == '\'' {
				l.emit(tokLiteral, i+1)
				return nil
			}
		}
		return l.fail("a character literal does not end")
	}
	r, size := utf8.DecodeRuneInString(s[1:])
	if strings.HasPrefix(s[1+size:], "'") && r != '\'' {
		l.emit(tokLiteral, 1+size+1)
		return nil
	}
	if !isIdentStart(r) {
		return l.fail(fmt.Sprintf("unexpected %q", s[:1]))
	}
	n := len(s[1:]) - len(strings.TrimLeftFunc(s[1:], isIdentPart))
	l.emit(tokLiteral, 1+n)
	return nil
}
