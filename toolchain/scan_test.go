// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"errors"
	"strings"
	"testing"
)

func TestScanSource(t *testing.T) {
	for name, c := range map[string]struct {
		src  string
		want string // empty: allowed
	}{
		"plain":           {"fn f(x: u32) -> u32 { x / 2 }", ""},
		"comments":        {"// unsafe\n/* forget /* nested asm */ forget */ fn f() {}", ""},
		"strings":         {`const A: &str = "unsafe \" forget"; const B: &str = r#"asm " forget"#; const C: &[u8] = b"extern";`, ""},
		"characters":      {`const A: [char; 4] = ['"', '\'', '\\', 'x']; fn f<'a>(x: &'a str) -> &'a str { x } const B: u8 = b'"';`, ""},
		"word of it":      {"fn unforgettable(forgetful: u8) {}", ""},
		"path variable":   {`fn f() { let path = "x"; let y = path; }`, ""},
		"extern crate":    {"extern crate iu;", ""},
		"module":          {`#[path = "other.rs"] mod other;`, ""},
		"tests":           {"#[cfg(test)]\nmod tests { fn f() { core::mem::forget({ 1 }); } }\nfn g() {}", ""},
		"unsafe":          {"\n\nfn f() { unsafe { } }", "x.rs:3: unsafe is not"},
		"after string":    {"const A: &str = \"a\nb\";\nuse iu::__private;", "x.rs:3: __private is not"},
		"after raw":       {"const A: &str = r##\"\"#\"##; use iu::__private;", "x.rs:1: __private is not"},
		"after char":      {`const A: char = '"'; use iu::__private; const B: char = '"';`, "__private is not"},
		"after lifetime":  {`fn f<'a>() {} use iu::__private; const B: char = 'a';`, "__private is not"},
		"raw identifier":  {"use iu::r#__private;", "__private is not"},
		"in a macro":      {"macro_rules! m { () => { iu::__private::Marker } }", "__private is not"},
		"renamed":         {"use iu as m;\nuse m::__private;", "x.rs:2: __private is not"},
		"own name":        {"fn forget() {} fn f() { forget(); let asm = 1; }", ""},
		"assembly":        {"core::arch::global_asm!(\"cli\")", "global_asm is not"},
		"extern fn":       {`extern "C" fn f() {}`, "extern is not"},
		"extern block":    {`extern { fn f(); }`, "extern is not"},
		"section":         {`#[unsafe(link_section = ".iu.map")] static X: u8 = 0;`, "unsafe is not"},
		"old attribute":   {`#[no_mangle] pub fn f() {}`, "no_mangle is not"},
		"include":         {`include!("x.txt");`, "include! is not"},
		"data as code":    {`#[path = "x.txt"] mod x;`, "path of a module"},
		"data by cfg":     {`#[cfg_attr(all(), path = "x.txt")] mod x;`, "path of a module"},
		"private":         {"use iu::__private as p;", "__private is not"},
		"after tests":     {"#[cfg(test)]\nmod tests { }\nuse iu::__private;", "x.rs:3: __private"},
		"not only tests":  {"#[cfg(not(test))]\nmod tests { use iu::__private; }", "x.rs:2: __private"},
		"shebang":         {"#!/usr/bin/x \"\nuse iu::__private; // \"", "x.rs:1: a source file"},
		"shebang comment": {"#! /* */ [cfg(all())] use core::mem::forget as f;", "x.rs:1: a source file"},
		"open string":     {"const A: &str = \"", "x.rs:1: a string does not end"},
		"open comment":    {"/* /* */", "x.rs:1: a comment does not end"},
		"open character":  {"'", "x.rs:1: unexpected"},
	} {
		err := scanSource("x.rs", []byte(c.src))
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// The scan must not panic on any source, and a banned word that stands alone
// on a last line is found whatever balanced text precedes it.
func FuzzScanSource(f *testing.F) {
	for _, s := range []string{"'a'", "r#\"\"#", "/**/", "b'\\''", "#[cfg(test)] mod t { }", "c\"\"", "'", "r#x", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if scanSource("x.rs", []byte(src)) != nil {
			return
		}
		err := scanSource("x.rs", []byte(src+"\nunsafe"))
		var rule *RuleError
		if !errors.As(err, &rule) || !strings.Contains(rule.Rule, "unsafe") {
			t.Errorf("not found after %q: %v", src, err)
		}
	})
}
