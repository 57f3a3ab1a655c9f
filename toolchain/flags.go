// SPDX-License-Identifier: Apache-2.0

package toolchain

// target is rustc's name of what objects are for: x86-64 without SSE, red zone
// and operating system.
const target = "x86_64-unknown-none"

// codegenFlags make kernel code. Everything that ends in an object is compiled
// with them, core too.
var codegenFlags = []string{
	"-Copt-level=3",
	"-Cpanic=abort",
	"-Ccodegen-units=1",
	"-Cdebuginfo=line-tables-only",
	// What a module of x86-64 is: linked into the top 2 GiB, without a GOT.
	"-Crelocation-model=static",
	"-Ccode-model=kernel",
	"-Zplt=yes",
	"-Cforce-unwind-tables=no",
	// The kernel's mitigations; objtool patches the thunks at load.
	"-Zcf-protection=branch",
	"-Zfunction-return=thunk-extern",
	"-Zretpoline-external-thunk",
	"-Cjump-tables=no",
	// Members of the archive are bitcode: the pass sees the whole program.
	"-Clinker-plugin-lto",
}

// profile overrides whatever the crate's Cargo.toml says of the release profile.
var profile = []string{
	"CARGO_PROFILE_RELEASE_OPT_LEVEL=3",
	"CARGO_PROFILE_RELEASE_DEBUG=line-tables-only",
	"CARGO_PROFILE_RELEASE_STRIP=none",
	"CARGO_PROFILE_RELEASE_LTO=false",
	"CARGO_PROFILE_RELEASE_PANIC=abort",
	"CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1",
	"CARGO_PROFILE_RELEASE_INCREMENTAL=false",
	"CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=false",
	"CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=false",
	"CARGO_PROFILE_RELEASE_BUILD_OVERRIDE_OPT_LEVEL=0",
	"CARGO_PROFILE_RELEASE_BUILD_OVERRIDE_CODEGEN_UNITS=16",
}

// crateFlags are for the extension's crate alone.
var crateFlags = []string{
	"-Funsafe-code",
	// A constant that takes forever to compute would take it of everyone who builds.
	"-Flong-running-const-eval",
	"-Zallow-features=",
	// Types of maps' keys and values (types.go). What else is compiled has line tables only.
	"-Cdebuginfo=2",
}
