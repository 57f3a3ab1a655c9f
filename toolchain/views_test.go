// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// compileViews compiles one file as the extension x through the wrapper, and reads what the
// compiler made of it. said is what it said if it refused.
func compileViews(t *testing.T, src string, files map[string]string, seconds string) (v *views, said string) {
	t.Helper()
	tools, err := findTools()
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	wrapper := filepath.Join(dir, wrapperName)
	for name, text := range map[string]string{"x.rs": "#![no_std]\n" + src, wrapperName: rustcWrapper} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "deps"), 0o755); err != nil {
		t.Fatal(err)
	}
	args := append([]string{tools.rustc, "--crate-name", "x", "--edition", edition, "x.rs", "--crate-type", "lib", "--emit=dep-info,metadata",
		"--out-dir", "deps", "-C", "extra-filename=-1", "-Cpanic=abort", "-Awarnings"}, crateFlags...)
	cmd := exec.Command(wrapper, args...)
	cmd.Dir = dir
	cmd.Env = append(cleanEnv(), "RUSTC_BOOTSTRAP=1", "IUPKG_ROOT=x", "IUPKG_CPU_SECONDS="+seconds, "CARGO_PKG_NAME=x")
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil {
		return nil, out.String()
	}
	if v, err = readViewFiles(filepath.Join(dir, "deps", "x-1")); err != nil {
		t.Fatal(err)
	}
	return v, out.String()
}

// Each way that is known to get around the language, and what is right and must stay so.
func TestViews(t *testing.T) {
	const (
		guard    = "pub struct Guard<'a>(&'a u32); impl Drop for Guard<'_> { fn drop(&mut self) {} }\n"
		leaked   = "of core is not allowed"
		pointer  = "a pointer to a function with nested lifetimes"
		implied  = "fn implied<'a, 'b, T: ?Sized>(_: &'a &'b (), v: &'b T) -> &'a T { v }\n"
		hrtb     = "a higher-ranked bound"
		unsafety = "unsafe"
	)
	for name, c := range map[string]struct {
		src   string
		files map[string]string
		want  string // empty: allowed
	}{
		"own forget":              {src: "pub fn forget(_: u32) {} pub fn f() { forget(1) }"},
		"own module":              {src: "pub mod store { pub fn forget(_: u32) {} } pub fn f() { store::forget(1) }"},
		"text":                    {src: `pub fn f() -> &'static str { "core::mem::forget(x)" }`},
		"uninit type":             {src: "pub struct S(pub Option<core::mem::MaybeUninit<u8>>);"},
		"forget":                  {src: guard + "pub fn f(g: Guard<'_>) { core::mem::forget(g) }", want: leaked},
		"forget renamed":          {src: guard + "use core::mem as m; use m::forget as drop_it; pub fn f(g: Guard<'_>) { drop_it(g) }", want: leaked},
		"forget by glob":          {src: guard + "use core::mem::*; pub fn f(g: Guard<'_>) { forget(g) }", want: leaked},
		"forget as value":         {src: guard + "pub fn f(g: Option<Guard<'_>>) { g.map(core::mem::forget); }", want: leaked},
		"forget in static":        {src: "pub static F: fn(u32) = core::mem::forget;", want: leaked},
		"forget in a const":       {src: "pub const F: fn(u32) = core::mem::forget; pub fn f() { F(1) }", want: leaked},
		"forget in a closure":     {src: guard + "pub fn f(g: Guard<'_>) { let h = move || core::mem::forget(g); h() }", want: leaked},
		"forget in a macro":       {src: guard + "macro_rules! m { ($a:ident $b:ident) => { core::$a::$b } } pub fn f(g: Guard<'_>) { m!(mem forget)(g) }", want: leaked},
		"forget in a generic":     {src: "pub fn f<T>(t: T) { core::mem::forget(t) }", want: leaked},
		"forget in a default":     {src: "pub trait T: Sized { fn f(self) { core::mem::forget(self) } }", want: leaked},
		"forget in a file":        {src: `include!("code.txt");`, files: map[string]string{"code.txt": guard + "pub fn f(g: Guard<'_>) { core::mem::forget(g) }"}, want: leaked},
		"forget in a module":      {src: `macro_rules! m { ($p:literal) => { #[path = $p] pub mod x; } } m!("code.txt");`, files: map[string]string{"code.txt": "pub fn f(g: u32) { core::mem::forget(g) }"}, want: leaked},
		"forget under cfg":        {src: "macro_rules! m { (# [ $($a:tt)* ] mod t { $($b:tt)* }) => { $($b)* } } m! { #[cfg(test)] mod t { pub fn f(g: u32) { core::mem::forget(g) } } }", want: leaked},
		"ManuallyDrop":            {src: guard + "pub fn f(g: Guard<'_>) { let _g = core::mem::ManuallyDrop::new(g); }", want: leaked},
		"ManuallyDrop by default": {src: guard + "pub fn f(g: Guard<'_>) { let mut m = core::mem::ManuallyDrop::<Option<Guard<'_>>>::default(); *m = Some(g) }", want: leaked},
		"ManuallyDrop generic": {src: guard + "fn put<T, D: Default + core::ops::DerefMut<Target = Option<T>>>(t: T) { let mut d = D::default(); *d = Some(t) }\n" +
			"pub trait Kind { type D; } pub struct K; impl Kind for K { type D = core::mem::ManuallyDrop<Option<u32>>; }\n" +
			"pub fn f<X: Kind>(t: u32) where X::D: Default + core::ops::DerefMut<Target = Option<u32>> { put::<u32, X::D>(t) }", want: leaked},
		"ManuallyDrop renamed":      {src: "use core::mem::ManuallyDrop as M; pub type T = M<u8>;", want: leaked},
		"ManuallyDrop of no layout": {src: "pub trait KnownLayout { type MaybeUninit; } impl KnownLayout for u8 { type MaybeUninit = Option<u8>; } pub type T = core::mem::ManuallyDrop<<u8 as KnownLayout>::MaybeUninit>;", want: leaked},
		"forget between quotes":     {src: guard + "pub fn f(g: Guard<'_>) { let t = ('\"', core::mem::forget::<Guard<'_>>, '\"'); (t.1)(g) }", want: leaked},
		"forget behind quotes":      {src: guard + "fn mk<'a>() -> (char, impl Fn(Guard<'a>), char) { ('\"', core::mem::forget::<Guard<'a>>, '\"') } pub fn f(g: Guard<'_>) { mk().1(g) }", want: leaked},
		"MaybeUninit":               {src: guard + "pub fn f(g: Guard<'_>) { let _g = core::mem::MaybeUninit::new(g); }", want: leaked},
		"MaybeUninit written":       {src: guard + "pub fn f(g: Guard<'_>) { let mut u = core::mem::MaybeUninit::uninit(); u.write(g); }", want: leaked},
		"unsafe":                    {src: "pub fn f() { unsafe { core::hint::unreachable_unchecked() } }", want: unsafety},
		"unsafe by a macro":         {src: "macro_rules! m { ($u:tt $b:block) => { $u $b } } pub fn f() { m!(unsafe { core::hint::unreachable_unchecked() }) }", want: unsafety},
		"unsafe in a file":          {src: `include!("code.txt");`, files: map[string]string{"code.txt": "pub fn f() { unsafe { core::hint::unreachable_unchecked() } }"}, want: unsafety},
		"unsafe allowed":            {src: "#[allow(unsafe_code)] pub fn f() { unsafe { core::hint::unreachable_unchecked() } }", want: "E0453"},
		"section":                   {src: `#[unsafe(link_section = ".iu.marker")] pub static X: u8 = 0;`, want: "link_section"},
		"section by a macro":        {src: `macro_rules! m { ($($t:tt)*) => { #[$($t)*] pub static X: u8 = 0; } } m!(unsafe(link_section = ".iu.map"));`, want: "link_section"},
		"symbol":                    {src: `#[unsafe(no_mangle)] pub fn memcpy() {}`, want: "no_mangle"},
		"symbol by name":            {src: `#[unsafe(export_name = "iu_entry_x")] pub fn f() {}`, want: "export_name"},
		"assembly":                  {src: `core::arch::global_asm!("nop");`, want: "global_asm"},
		"nightly feature":           {src: "#![feature(core_intrinsics)]", want: "E0725"},
		"lifetime by pointer":       {src: implied + "pub fn f<'x, T: ?Sized>(x: &'x T) -> &'static T { let f: for<'q> fn(_, &'q T) -> &'static T = implied; f(&&(), x) }", want: pointer},
		"lifetime by cast":          {src: implied + "pub fn f<'x>(x: &'x u8) -> &'static u8 { (implied::<u8> as for<'q> fn(&'static &'static (), &'q u8) -> &'static u8)(&&(), x) }", want: pointer},
		"lifetime by a struct":      {src: "pub struct W<'a, 'b>(&'a &'b ()); fn w<'a, 'b>(_: W<'a, 'b>, v: &'b u8) -> &'a u8 { v }\npub fn f<'x>(x: &'x u8) -> &'static u8 { let f: for<'q> fn(W<'static, 'static>, &'q u8) -> &'static u8 = w; f(W(&&()), x) }", want: pointer},
		"lifetime by output":        {src: "fn w<'a, 'b>(_: &'a &'b (), v: &'b u8, o: &mut &'a u8) { *o = v }\npub fn f<'x>(x: &'x u8, o: &mut &'static u8) { let f: for<'q> fn(&'static &'static (), &'q u8, &mut &'static u8) = w; f(&&(), x, o) }", want: pointer},
		"plain pointers":            {src: "fn a(x: &[u8], n: usize) -> Option<&u8> { x.get(n) } fn b(s: &mut [u8; 4], x: &[u8]) { s[0] = x[0] }\npub static A: fn(&[u8], usize) -> Option<&u8> = a; pub static B: fn(&mut [u8; 4], &[u8]) = b;"},
		"context by pointer":        {src: "pub struct C<'a>(&'a mut u8); fn a(c: &mut C<'_>) -> u32 { *c.0 as u32 }\npub static A: [fn(&mut C<'_>) -> u32; 1] = [a];"},
		"trait object":              {src: "trait Object<U> { type Output; } impl<T: ?Sized, U> Object<U> for T { type Output = U; }\nfn foo<T: ?Sized, U>(x: <T as Object<U>>::Output) -> U { x }\npub fn transmute<T, U>(x: T) -> U { foo::<dyn Object<U, Output = T>, U>(x) }", want: "cannot normalize"},
		"subtrait": {src: "pub trait Sub<'a, 'b, R>: Super<'a, 'b> {} pub trait Super<'a, 'b> { fn convert<T: ?Sized>(x: &'a T) -> &'b T; }\n" +
			"fn sub<'x, 'y, S, T: ?Sized>(x: &'x T) -> &'y T where S: for<'a, 'b> Sub<'a, 'b, &'b &'a ()> { sup::<S, T>(x) }\n" +
			"fn sup<'x, 'y, S, T: ?Sized>(x: &'x T) -> &'y T where S: for<'a, 'b> Super<'a, 'b> { S::convert(x) }\nstruct M;\n" +
			"impl<'a: 'b, 'b> Super<'a, 'b> for M { fn convert<T: ?Sized>(x: &'a T) -> &'b T { x } } impl<'a, 'b> Sub<'a, 'b, &'b &'a ()> for M {}\n" +
			"pub fn f<'x, 'y, T: ?Sized>(x: &'x T) -> &'y T { sub::<M, T>(x) }", want: hrtb},
		"own function trait":  {src: "pub trait Fn<'a> {} pub fn f<T: for<'a> Fn<'a>>(_: T) {}", want: hrtb},
		"bound of a function": {src: "pub fn f(g: impl for<'a> core::ops::Fn(&'a [u8]) -> &'a u8) -> u8 { *g(&[1]) } pub type P = for<'a> fn(&'a u8);"},
		"qualified path":      {src: "pub struct S; pub trait T {} impl T for <[S; 1] as IntoIterator>::Item {}"},
		"environment":         {src: `pub const A: &str = env!("HOME");`, want: "environment variable HOME"},
		"environment asked":   {src: `pub const A: Option<&str> = option_env!("IUPKG_TEST2");`, want: "environment variable IUPKG_TEST2"},
		"package's name":      {src: `pub const A: &str = env!("CARGO_PKG_NAME");`},
		"crate renamed":       {src: "extern crate core as iu; pub use iu::option::Option as O;", want: "extern crate"},
		"crate is itself":     {src: "extern crate self as iu; pub struct X; pub type Y = ::iu::X;", want: "extern crate"},
		"crate by a macro":    {src: "macro_rules! m { ($a:ident $b:ident $c:tt $d:ident $e:ident) => { $a $b $c $d $e; } } m!(extern crate self as iu);", want: "extern crate"},
		"endless constant":    {src: "#![allow(long_running_const_eval)] pub const A: u32 = { let mut i = 0u32; while i < u32::MAX { i += 1; } i };", want: "long_running_const_eval"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, said := compileViews(t, c.src+"\n", c.files, "10")
			var err error
			if v == nil {
				err = errors.New(said)
			} else {
				err = v.check()
			}
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
			var rule *RuleError
			if errors.As(err, &rule) && strings.Contains(rule.Rule, leaked) && rule.Line == 0 {
				t.Errorf("no line: %v", err)
			}
		})
	}
}

// A build that takes too much of the machine ends, and says so.
func TestViewsTimeLimit(t *testing.T) {
	// Doubles at every level: 2^40 statements.
	src := "macro_rules! m { ($n:expr) => { $n + $n } }\npub const A: u64 = " + strings.Repeat("m!(", 40) + "1" + strings.Repeat(")", 40) + ";\n"
	v, said := compileViews(t, src, nil, "2")
	if v != nil || !strings.Contains(said, "takes more than 2 seconds") {
		t.Errorf("views %v, said %.300q", v, said)
	}
}
