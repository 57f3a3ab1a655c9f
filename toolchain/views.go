// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// views are what the compiler says of the extension's crate beside the archive
// (rustc-wrapper.sh). Sources can hide words from a reader, by macros, included files and
// aliases; these have them as the compiler understood them.
type views struct {
	expanded []byte   // the crate after macros, files and cfg
	mir      []byte   // every function's and constant's body, paths resolved
	env      []string // variables that env! and its like read
}

// readViews finds the views of an archive that cargo has put in place: cargo keeps one
// of each project under another name in deps, and the views are beside that one.
func readViews(archive, lib string) (*views, error) {
	candidates, err := filepath.Glob(filepath.Join(filepath.Dir(archive), "deps", "lib"+lib+"-*.a"))
	if err != nil {
		return nil, err
	}
	for _, c := range candidates {
		if same, err := sameFile(archive, c); err != nil {
			return nil, err
		} else if !same {
			continue
		}
		base := filepath.Join(filepath.Dir(c), strings.TrimSuffix(strings.TrimPrefix(filepath.Base(c), "lib"), ".a"))
		return readViewFiles(base)
	}
	return nil, errors.New("cargo's archive has no counterpart among its dependencies")
}

func readViewFiles(base string) (*views, error) {
	v := &views{}
	var err error
	if v.expanded, err = os.ReadFile(base + ".expanded"); err != nil {
		return nil, err
	}
	if v.mir, err = os.ReadFile(base + ".mir"); err != nil {
		return nil, err
	}
	info, err := os.ReadFile(base + ".d")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "# env-dep:"); ok {
			name, _, _ = strings.Cut(strings.TrimSpace(name), "=")
			v.env = append(v.env, name)
		}
	}
	return v, nil
}

// sameFile says whether two paths are one file, or have the same content.
func sameFile(a, b string) (bool, error) {
	x, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	y, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	if os.SameFile(x, y) {
		return true, nil
	}
	if x.Size() != y.Size() {
		return false, nil
	}
	p, err := os.ReadFile(a)
	if err != nil {
		return false, err
	}
	q, err := os.ReadFile(b)
	return bytes.Equal(p, q), err
}

// check applies the rules that are about what the source means.
func (v *views) check() error {
	for _, name := range v.env {
		if !strings.HasPrefix(name, "CARGO_PKG_") && name != "CARGO_CRATE_NAME" {
			return &RuleError{Rule: "the extension reads the environment variable " + name + " when it is compiled",
				Why: "the same sources give the same object on every machine"}
		}
	}
	toks, err := lex(v.expanded)
	if err != nil {
		return &RuleError{Rule: "after macros, the source is not understood: " + err.Error()}
	}
	if err := checkTokens("", toks); err != nil {
		err.Rule += ", after macros"
		return err
	}
	return checkMIR(v.mir)
}

// checkTokens refuses what hides the crates that macros refer to, or is known to
// confuse the compiler's own checks.
func checkTokens(file string, toks []token) *RuleError {
	at := func(i int) string {
		if i < 0 || i >= len(toks) {
			return ""
		}
		return toks[i].text
	}
	for i, t := range toks {
		if t.kind != tokIdent {
			continue
		}
		bad := func(rule, why string) *RuleError { return &RuleError{File: file, Line: t.line, Rule: rule, Why: why} }
		switch {
		case t.text == "crate" && at(i-1) == "extern" && (at(i+1) == "self" || at(i+2) == "as" && at(i+3) != "_" && at(i+3) != at(i+1)):
			return bad("an extern crate under another name is not allowed in an extension", "macros call their crates by name")
		case t.text == "zerocopy" && at(i+1) == "(" && (at(i-1) == "[" || at(i-1) == ","):
			for k, depth := i+1, 0; k < len(toks); k++ {
				switch at(k) {
				case "(":
					depth++
				case ")":
					depth--
				}
				if depth == 0 {
					break
				}
				if at(k) == "crate" && at(k+1) == "=" && at(k+2) != `"::iu::zerocopy"` {
					return bad("#[zerocopy(crate = …)] is not allowed in an extension", "use #[iu::plain], or derive from iu::zerocopy")
				}
			}
		case t.text == "ManuallyDrop" && !ofLayout(toks, i):
			return bad("ManuallyDrop of core is not allowed in an extension", "a guard in it is not released")
		case t.text == "for" && at(i+1) == "<" && strings.HasPrefix(at(i+2), "'"):
			if !isCallable(toks, i+2) {
				return bad("a higher-ranked bound other than a function's is not allowed in an extension",
					"rustc takes lifetimes for proven there that are not (rust-lang/rust#84591); make the lifetime a parameter")
			}
		}
	}
	return nil
}

// ofLayout says whether the ManuallyDrop at toks[i] is of `<T as ::iu::zerocopy::KnownLayout>::MaybeUninit`,
// as zerocopy's derives write it: what is in a MaybeUninit is not dropped anyway, and nothing can be
// put there. Any other can be made by Default, and filled by what Deref gives.
func ofLayout(toks []token, i int) bool {
	var text []string
	depth := 0
	for _, t := range toks[i+1:] {
		text = append(text, t.text)
		switch t.text {
		case "<":
			depth++
		case ">":
			depth--
		}
		if depth == 0 || len(text) > 1000 {
			break
		}
	}
	s := strings.Join(text, " ")
	return strings.HasPrefix(s, "< <") && strings.HasSuffix(s, "as : : iu : : zerocopy : : KnownLayout > : : MaybeUninit >") && strings.Count(s, "MaybeUninit") == 1
}

// isCallable says whether fn(…), Fn(…), FnMut(…) or FnOnce(…) follows the lifetimes of a
// `for<` whose first token is toks[i].
func isCallable(toks []token, i int) bool {
	for i < len(toks) && toks[i].text != ">" {
		i++
	}
	i++
	// A path to the trait, from core or std.
	for i+2 < len(toks) && (toks[i].text == ":" || toks[i].text == "core" || toks[i].text == "ops") {
		i++
	}
	if i+1 >= len(toks) {
		return false
	}
	switch toks[i].text {
	case "fn", "unsafe", "extern":
		return true
	case "Fn", "FnMut", "FnOnce":
		return toks[i+1].text == "("
	}
	return false
}
