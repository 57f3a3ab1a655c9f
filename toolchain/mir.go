// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// leaks are the functions of core that leave a value undropped: a guard would not be
// released. The types alone are harmless, and derives mention them.
var leaks = regexp.MustCompile(`\bcore::(?:[A-Za-z_]+::)*(?:(forget|forget_unsized)\b|(ManuallyDrop::|MaybeUninit::)(?:<.*>::)?(new|write)\b)`)

// spanOf is where a line of MIR is from: "// scope 0 at src/lib.rs:4:22: 4:42", "// + span: …".
var spanOf = regexp.MustCompile(`(?:// (?:return place )?(?:in )?scope \d+ at |// \+ span: )(.+?):(\d+):\d+: \d+:\d+`)

// checkMIR reads the compiler's text of every body of the crate. It refuses
//
//   - leaks, under whatever name the source has for them. A function of the extension's own
//     may be called forget.
//   - a function taken as a pointer if two lifetimes of one of its parameters, of which one
//     outlives the other by the type's being well-formed, occur elsewhere in it: as a
//     pointer it can be called where that does not hold (rust-lang/rust#25860), which
//     gives any reference any lifetime.
func checkMIR(mir []byte) error {
	lines := strings.Split(string(mir), "\n")
	reify := -1 // the line whose operand has yet to come
	for n, line := range lines {
		// Most lines are of no interest, and there may be a hundred thousand.
		if reify < 0 && !strings.Contains(line, "forget") && !strings.Contains(line, "ManuallyDrop") &&
			!strings.Contains(line, "MaybeUninit") && !strings.Contains(line, "FnPointer") {
			continue
		}
		code := withoutStrings(line)
		if m := leaks.FindStringSubmatch(code); m != nil {
			file, at := mirSpan(lines, n)
			return &RuleError{File: file, Line: at, Rule: m[1] + m[2] + m[3] + " of core is not allowed in an extension",
				Why: "a guard that is forgotten is not released"}
		}
		switch {
		case strings.Contains(code, "(PointerCoercion(ReifyFnPointer"), strings.Contains(code, "(PointerCoercion(ClosureFnPointer"):
			_, to, _ := strings.Cut(code, " as ")
			to, _, _ = strings.Cut(to, " (PointerCoercion")
			if strings.Contains(code, "ClosureFnPointer") {
				if err := checkReified(lines, n, to); err != nil {
					return err
				}
			} else {
				reify = n
			}
		case reify >= 0 && strings.Contains(code, "// + const_: Const { ty: "):
			_, sig, _ := strings.Cut(code, "// + const_: Const { ty: ")
			sig, _, _ = strings.Cut(sig, " {")
			if err := checkReified(lines, reify, sig); err != nil {
				return err
			}
			reify = -1
		case reify >= 0 && n > reify+6:
			return fmt.Errorf("the compiler's text of a function pointer is not understood: %s", lines[reify])
		}
	}
	if reify >= 0 {
		return fmt.Errorf("the compiler's text of a function pointer is not understood: %s", lines[reify])
	}
	return nil
}

// mirSpan is the place of line n, or of what it is in.
func mirSpan(lines []string, n int) (string, int) {
	for k := n; k < len(lines) && k < n+4; k++ {
		if m := spanOf.FindStringSubmatch(lines[k]); m != nil {
			at, _ := strconv.Atoi(m[2])
			return m[1], at
		}
	}
	return "", 0
}

// withoutStrings replaces the text of literals.
func withoutStrings(line string) string {
	if !strings.Contains(line, `"`) {
		return line
	}
	return stringLiteral.ReplaceAllString(line, `""`)
}

// The text of a character may be a quotation mark, which would start a string elsewhere.
var stringLiteral = regexp.MustCompile(`'(?:\\[^']+|\\'|[^'\\])'|"(?:\\.|[^"\\])*"`)

// lifetime is a named one, or a reference that has none left in the text.
var lifetime = regexp.MustCompile(`&(?:'[A-Za-z_0-9]+)?|'[A-Za-z_][A-Za-z_0-9]*`)

// checkReified judges the signature of a function made a pointer: `for<'a, 'b> fn(&'a &'b
// (), &'b T) -> &'a T`. Lifetimes that the text does not tell apart count as different.
func checkReified(lines []string, n int, sig string) error {
	if i := strings.Index(sig, "fn("); i >= 0 {
		sig = sig[i+2:]
	}
	types := splitTypes(sig)
	type use struct{ types map[int]bool }
	uses := map[string]*use{}
	for i, t := range types {
		for k, l := range lifetime.FindAllString(t, -1) {
			l = strings.TrimPrefix(l, "&")
			switch l {
			case "'static":
				continue
			case "", "'_":
				l = fmt.Sprintf("anonymous %d %d", i, k)
			}
			if uses[l] == nil {
				uses[l] = &use{map[int]bool{}}
			}
			uses[l].types[i] = true
		}
	}
	// A lifetime can be confused only if it ties the type to another one.
	ties := func(l string) bool {
		return len(uses[l].types) > 1 || strings.HasPrefix(l, "anonymous")
	}
	for i, t := range types {
		var tied int
		seen := map[string]bool{}
		for k, l := range lifetime.FindAllString(t, -1) {
			l = strings.TrimPrefix(l, "&")
			if l == "" || l == "'_" {
				l = fmt.Sprintf("anonymous %d %d", i, k)
			}
			if l == "'static" || !seen[l] && ties(l) {
				tied++
			}
			seen[l] = true
		}
		if tied > 1 && len(types) > 1 && strings.ContainsAny(strings.Join(append(append([]string{}, types[:i]...), types[i+1:]...), ""), "&'") {
			file, at := mirSpan(lines, n)
			return &RuleError{File: file, Line: at, Rule: "a pointer to a function with nested lifetimes is not allowed in an extension",
				Why: "rustc forgets there which lifetime outlives which (rust-lang/rust#25860); take the function as a generic argument, `impl Fn(…)`"}
		}
	}
	return nil
}

// splitTypes splits `(A, B<C, D>) -> E` into A, B<C, D> and E.
func splitTypes(sig string) []string {
	var out []string
	depth, from := 0, 1
	for i := 0; i < len(sig); i++ {
		switch sig[i] {
		case '(', '<', '[', '{':
			depth++
		case '>':
			if sig[i-1] == '-' {
				continue
			}
			depth--
		case ')', ']', '}':
			depth--
			if depth == 0 && sig[i] == ')' {
				if from < i {
					out = append(out, sig[from:i])
				}
				if _, ret, ok := strings.Cut(sig[i:], "-> "); ok {
					out = append(out, ret)
				}
				return out
			}
		case ',':
			if depth == 1 {
				out = append(out, sig[from:i])
				from = i + 1
			}
		}
	}
	return append(out, sig)
}
