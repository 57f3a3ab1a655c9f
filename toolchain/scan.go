// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// banned are words that an extension's own source does not have, in code of any kind:
// macro definitions are code. The compiler's lint and what it makes of the source
// (views.go) are what holds; this says it sooner, of the author's own line.
var banned = map[string]string{
	"unsafe":           "an extension has no unsafe code",
	"global_asm":       "an extension has no assembly",
	"naked_asm":        "an extension has no assembly",
	"no_mangle":        "symbols and sections are the toolchain's",
	"export_name":      "symbols and sections are the toolchain's",
	"link_name":        "symbols and sections are the toolchain's",
	"link_section":     "symbols and sections are the toolchain's",
	"no_builtins":      "code of such a crate is not bitcode, so the pass could not see it",
	"panic_handler":    "the crate iu has the panic handler",
	"global_allocator": "there is no heap",
	"__private":        "iu::__private is for iu's own macros",
	"__named":          "iu::__private is for iu's own macros",
	"__new":            "iu::__private is for iu's own macros",
}

// scan checks the source files that went into the archive.
func (b *builder) scan(sources []string) error {
	slices.Sort(sources)
	for _, path := range sources {
		if b.ofDependency(path) {
			continue
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return err
		}
		if !inside(b.dir, real) {
			return &RuleError{File: path, Rule: "a source file is outside of the project", Why: "what is not in the project is not published with it"}
		}
		src, err := os.ReadFile(real)
		if err != nil {
			return err
		}
		if filepath.Ext(path) != ".rs" {
			continue // include_bytes! and include_str!: data. A module's path is checked below.
		}
		if err := scanSource(b.rel(path), src); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) ofDependency(path string) bool {
	return slices.ContainsFunc(b.crate.deps, func(d dependency) bool { return inside(d.dir, path) })
}

func inside(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// scanSource finds the first thing in a source file that must not be there.
func scanSource(file string, src []byte) error {
	toks, err := lex(src)
	if err != nil {
		return &RuleError{File: file, Line: err.(*lexError).line, Rule: err.Error()}
	}
	if err := checkTokens(file, toks); err != nil {
		return err
	}
	at := func(i int) token {
		if i < 0 || i >= len(toks) {
			return token{}
		}
		return toks[i]
	}
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		if end := skipTests(toks, i); end > i {
			i = end - 1
			continue
		}
		if t.kind != tokIdent {
			continue
		}
		bad := func(rule, why string) error { return &RuleError{File: file, Line: t.line, Rule: rule, Why: why} }
		if why, ok := banned[t.text]; ok {
			return bad(fmt.Sprintf("%s is not allowed in an extension", t.text), why)
		}
		switch {
		case t.text == "extern" && at(i+1).text != "crate":
			return bad("extern is not allowed in an extension", "only iu calls out of an extension, and only the runtime calls in")
		case t.text == "include" && at(i+1).text == "!":
			return bad("include! is not allowed in an extension", "code is in files that end in .rs: use a module")
		case t.text == "path" && at(i+1).text == "=" && at(i+2).kind == tokLiteral && strings.Contains("[(,", at(i-1).text) && at(i-1).text != "":
			if !strings.HasSuffix(strings.TrimRight(at(i+2).text, `"#`), ".rs") {
				return bad("the path of a module ends in .rs", "other files are data")
			}
		}
	}
	return nil
}

// skipTests returns the end of a `#[cfg(test)] mod name { … }` that starts at i,
// or i: tests are not compiled into an object and may do what they like.
func skipTests(toks []token, i int) int {
	want := []string{"#", "[", "cfg", "(", "test", ")", "]", "mod", "", "{"}
	for k, w := range want {
		if i+k >= len(toks) || w != "" && toks[i+k].text != w {
			return i
		}
	}
	depth := 0
	for k := i + len(want) - 1; k < len(toks); k++ {
		switch toks[k].text {
		case "{":
			depth++
		case "}":
			if depth--; depth == 0 {
				return k + 1
			}
		}
	}
	return i
}
