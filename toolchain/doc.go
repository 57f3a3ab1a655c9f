// SPDX-License-Identifier: Apache-2.0

// Package toolchain turns the project of an extension into an object and its
// manifest. It is the place where what is safe is decided: whatever a crate says
// of itself, Build refuses what the runtime could not survive, and what it writes
// is what gets signed.
//
// # From crate to object
//
//  1. Sysroot: core, and a stand-in for compiler_builtins, are compiled by the
//     system's rustc from its own sources with the flags of kernel code (no
//     SSE, return thunks, retpolines, ENDBR, no jump tables, no unwinding) and kept in
//     the cache under a hash of compiler, flags and source.
//  2. Vetting: iupkg.toml is read; `cargo metadata --locked` names the crates that
//     would go into the object. Allowed are the crate itself, the toolchain's own
//     `iu` (compared by content), and what `iu` depends on, by name, version and
//     checksum. Build scripts, nightly features and local configuration of cargo are refused,
//     and what Cargo.toml may say is an allow-list (cargotoml.go), checked before cargo reads it.
//  3. `cargo rustc` compiles the crate with -Funsafe-code to a static library whose
//     members are LLVM bitcode, core included.
//  4. What the compiler made of the crate is judged (views.go): the crate after macros, and every body
//     with its paths resolved. Two more runs of rustc write them beside the archive
//     (rustc-wrapper.sh). That is what keeps out core's ways to forget a guard, and the
//     faults of rustc that can be used on purpose (docs/soundness.md). Every source file that
//     the compiler read (it leaves a list) is in the project, and is scanned for words, to
//     say sooner and with a line what would be refused anyway.
//  5. llvm-link, then opt with iu-pass.so (llvm/README.md): the whole program is
//     reduced to what the programs need, optimised, given entry functions, polls
//     and stack checks, and audited. llc makes the object.
//  6. The call graph that the pass reports and the frame sizes that llc reports
//     give a bound of each program's stack, which goes into the object's table. A
//     frame above IU_FRAME_MAX is refused, and so is a bound above what a stack has.
//  7. Debug information is split off; what the loader has no use for is dropped;
//     the object is read back and checked as the runtime will.
//  8. The object's tables and iupkg.toml give the manifest.
//
// Results go to DIR/target/iupkg: NAME.o, NAME.debug, manifest.json, report.json,
// provenance.json, sbom.json. Each is replaced atomically, the manifest last.
//
// Check does steps 1 to 4 without making code.
//
// # Variants
//
// A [[variant]] of iupkg.toml is a Kconfig expression that the source asks for by
// cfg(kconfig = "…"). The object requires what was decided: the expression, or its opposite.
// BuildAll makes an object for each way in which a configuration can decide all of them (not
// for those that contradict each other), at most 64: that for which fewest hold in
// target/iupkg, each further one with the same files in target/iupkg/variants/N. Build makes the
// one that Options.KernelConfig decides.
//
// # Types of maps
//
// The extension's own crate is compiled with full debug information; of it the pass says what
// the parameters of each map's Rust type are, and their BTF goes into the object's section
// kernel.SecTypes, which is not loaded. bpftool then prints keys and values by name.
//
// # Kernel types
//
// Members, sizes, enumerators and options that a program reads (iu::kernel) are entries of the
// object's .iu.reloc; those that may not be missing become requirements of the manifest.
//
// # Provenance
//
// provenance.json is an in-toto statement v1 about NAME.o and manifest.json with a
// SLSA provenance predicate v1. Its build type is https://iupkg.dev/build/v1:
//
//	externalParameters.source    uri: "git+" and the repository that iupkg.toml names;
//	                             digest: dirHash of iupkg.toml, Cargo.toml, Cargo.lock
//	                             and the sources that the compiler read, and
//	                             gitCommit if git has exactly these in HEAD
//	internalParameters           target and rustflags
//	resolvedDependencies         the source again; crates by package URL and
//	                             crates.io's checksum; the crates iu and iu-macros by
//	                             dirHash; the pass plugin; Debian packages
//	                             by package URL
//	runDetails.builder           id: Options.Builder or LocalBuilder; versions
//	runDetails.byproducts        report.json
//
// sbom.json is SPDX 2.3 with the object as the package described, what is linked
// into it (STATIC_LINK), what only ran while it was made (BUILD_DEPENDENCY_OF) and the
// toolchain (BUILD_TOOL_OF). Its one time is SOURCE_DATE_EPOCH, or the commit's, or 1970.
//
// # Reproducible
//
// The same sources and the same toolchain give the same bytes wherever they lie:
// paths are remapped, one codegen unit is used, and cargo's crate hashes, which depend on
// the folder, are replaced by a wrapper of rustc.
//
// # Errors
//
// The compiler's own messages go to Options.Stderr as they are, and Build
// returns ErrCompile. What Build itself refuses is a *RuleError with file and line.
package toolchain
