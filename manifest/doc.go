// SPDX-License-Identifier: Apache-2.0

// Package manifest has the words that every other package shares: names,
// versions, requirements, manifests, project files and profiles of kernels. It
// parses, formats and checks them; it does no I/O and imports nothing of ours.
// This comment is the specification of the formats. Sizes are in bytes. JSON Schemas of
// these and of all other formats are in docs/schema, golden files in internal/formats.
//
// # Names, versions, digests
//
// A package name is [a-z][a-z0-9-]{0,62}. The name of a program, map or
// parameter is [A-Za-z_][A-Za-z0-9_]{0,30}. A version is strict semver 2.0.0
// (https://semver.org), at most 63 bytes, without build metadata. A digest is
// "sha256:" and 64 lower-case hex digits
// (https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests).
//
// A constraint is in the language of
// https://github.com/Masterminds/semver#checking-version-constraints, at most
// 256 bytes: "1.2" is >=1.2.0 <1.3.0, "^1" is >=1.0.0 <2.0.0, "1.2.3" that
// version, "*" any; comma or space is and, "||" is or. A pre-release is in it
// only if it names a pre-release of the same MAJOR.MINOR.PATCH. A spec is NAME
// or NAME@CONSTRAINT; NAME may have features, NAME[FEATURE,FEATURE].
//
// # Manifest
//
// A manifest is one JSON object (RFC 8259), UTF-8, at most 256 KiB. Unknown
// keys, duplicate keys, keys in another case, and null are refused. Texts have
// no control or other unprintable characters. Fields, in canonical order:
//
//	schema        1
//	name          package name
//	version       version
//	description   text, at most 1024; optional
//	license       SPDX expression, at most 128 (https://spdx.org/licenses)
//	repository    http or https address, at most 1024; optional
//	arch          architecture in Go's terms ("amd64")
//	object        digest, and size from 1 to 4 MiB, of the ELF object
//	requires      what a kernel must offer:
//	  arch          as above; optional
//	  release       range of kernel releases, at most 256; optional
//	  config        at most 64 Kconfig expressions of at most 512; all must hold
//	  btf           at most 1024 BTF requirements of at most 256
//	  symbols       at most 1024 names of at most 255 that vmlinux must export
//	  hooks         exactly the hooks of the programs
//	  abi           IU_ABI_VERSION of the object, from 1
//	dependencies  package name to constraint, at most 256; not itself
//	              A name may be NAME[FEATURE]
//	conflicts     likewise, without features; pre-releases count as versions like
//	              any other here
//	provides      at most 64 package names that it stands for, to the version as
//	              which it does: whoever needs the name may have this instead
//	features      at most 64, named as packages, to more dependencies, which only
//	              those need who ask for the feature
//	params        at most 128, of those at most 64 of the object:
//	  name          unique
//	  type          bool, u64, i64, string
//	  default       a value; without one, the user must give it
//	  min, max      values, u64 and i64 only
//	  doc           text, at most 1024; optional
//	  object        index in the object's table. Those of the object come
//	                first and in its order. A string has none
//	programs      1 to 32, in the order of the object's table:
//	  name          unique
//	  hook          see Hooks below
//	  attach        where it is attached by default; optional, see below
//	  onFault       what the hook returns after a fault, see Hooks below
//	  maxFaults     faults after which it is disabled; 0 or none: never
//	  stack         proven bound of its stack; 0 or none: checked at run time
//	maps          at most 64: unique name, type (enum bpf_map_type), keySize,
//	              valueSize, maxEntries, flags; migrate (drop, copy), optional;
//	              entries, optional: the parameter that says how many entries it
//	              gets, a u64 with a range within 1 to maxEntries;
//	              counters, optional: at most 64 unique names of the first values of
//	              an array of 64-bit numbers, per CPU or not
//	selftests     at most 64: name, optional; program, at xdp or tc; packet, 14 to
//	              1500 bytes in hex; expect, a verdict
//	toolchain     rustc, llvm, iu: texts, at most 256; pass: digest
//
// Values of parameters are strings: decimal numbers without leading zeros or a
// plus sign, "true" and "false", or for a string 1 to 128 bytes without "$".
// A value in an attachment may be "${NAME}", alone, for that of a parameter.
//
// # Hooks
//
// Keys of attachments, those in brackets optional, and verdicts after a fault:
//
//	xdp               interface, [mode: auto (the default), native, generic];
//	                  aborted, drop, pass, tx
//	tc                interface, direction: ingress, egress;
//	                  unspec, ok, shot, pipe
//	kprobe            function, [offset: bytes into it]; none
//	kretprobe         function; none
//	uprobe            path of an executable or library, symbol and [offset]
//	                  into it, or offset in the file alone,
//	                  [at: entry (the default), return], [pid]; none
//	tracepoint        event: GROUP/EVENT as in tracefs; none
//	perf_event        event: cpu-clock, task-clock, page-faults,
//	                  context-switches, cpu-migrations, cycles, instructions,
//	                  cache-misses, branch-misses; [frequency: samples a
//	                  second on each CPU, 99] or [period: events to a sample];
//	                  none
//	fentry, fexit     function, [module that has it]; none
//	tp_btf            tracepoint: its name without group, [module]; none
//	lsm               hook: as in include/linux/lsm_hook_defs.h; allow, deny
//	cgroup_skb        cgroup: path, direction: ingress, egress; deny, allow
//	cgroup_sock_addr  cgroup: path, operation: bind, connect, sendmsg, recvmsg,
//	                  getpeername, getsockname, each with 4 or 6; deny, allow
//	socket_filter     no keys: whoever has the socket attaches the pinned
//	                  program (SO_ATTACH_BPF); drop, keep
//
// Interfaces are names that the kernel allows; numbers are decimal, or
// hexadecimal after 0x. The functions of fentry and fexit, tracepoints of tp_btf and
// hooks of lsm that no parameter or module decides become BTF requirements.
//
// The canonical form, which [Manifest.Encode] writes, has the fields in this
// order, maps sorted by key, two spaces of indent, characters unescaped where
// JSON allows, and a newline at the end. A manifest is the config blob of an
// OCI image manifest
// (https://github.com/opencontainers/image-spec/blob/main/manifest.md).
//
// # Requirements on a kernel
//
// What a version requires of a kernel is one language, whether it stands in
// iupkg.toml, in a manifest or in the index. Each answer is yes, no or unknown
// ([Answer]): what could not be read of a kernel is not taken for missing. All
// must hold. In EBNF, with the grammar of the parts at [Constraint], [ConfigExpr]
// and [BTFReq]:
//
//	arch     = "amd64" | "arm64" | …            Go's terms
//	release  = range *( "||" range )            ">=6.1 <6.13 || >=6.15"
//	range    = comparison *( [ "," ] comparison ) | x.y "-" x.y
//	config   = Kconfig expression               "NET_CLS_ACT && !PREEMPT_RT && NR_CPUS>=64"
//	btf      = type | function                  "struct sk_buff.len size=4: unsigned int"
//	                                            "func tcp_v4_rcv(struct sk_buff *) -> int"
//	symbol   = name that vmlinux exports        "tcp_hashinfo"
//	hook     = name of a hook                   "xdp"
//	abi      = number                           the object's; a runtime takes a range
//
// Releases are compared as x.y.z; a distribution's suffix says nothing, and
// x.y-rcN is below x.y.0 and above every release before. Where the name hides
// the patch level ("6.1.0-56-amd64"), uname's version is asked ("Debian
// 6.1.192-2"); if it does not say, a range that turns on it is unknown.
//
// Config has expressions of the Kconfig language
// (https://docs.kernel.org/kbuild/kconfig-language.html) with the kernel's own
// rules: && is the lesser of n < m < y, || the greater, ! is y minus the value; a
// comparison of numbers is one of numbers, of anything else one of strings. An
// expression holds if its value is y or m, so a bare name means y or m; mind
// that by these rules !FOO holds for m too, and FOO=n does not.
//
// BTF is that of vmlinux and of the modules that are loaded
// (https://docs.kernel.org/bpf/btf.html). A type of which there are several by
// one name has what any of them has.
//
// # Project file
//
// iupkg.toml is TOML 1.0 (https://toml.io), at most 256 KiB; unknown keys are
// refused, and mistakes are reported with file, line and column. Limits are
// those of the manifest.
//
//	[package]         name, version, license; description, repository
//	[kernel]          release, config; btf and symbols are added to what the build
//	                  derives
//	[dependencies]    name = "constraint"
//	[conflicts]       name = "constraint"
//	[provides]        name = "version"
//	[features.NAME]   name = "constraint"
//	[params.NAME]     type: bool, string, u8 … u64, i8 … i64; left out if the
//	                  object says it. default; range = [LEAST, GREATEST]; doc.
//	                  Numbers beyond 63 bits are written as strings
//	[map.NAME]        migrate: "drop" or "copy", what becomes of its entries when an
//	                  upgrade brings one of another shape; counters = ["name"]: what
//	                  its first values count, for iupkg status; entries = "PARAM":
//	                  the parameter that says how many entries it gets, for a map
//	                  whose type leaves that open
//	[[selftest]]      name; program; packet, hex; expect, a verdict: what
//	                  iupkg install --canary runs
//	[program.NAME]    hook; attach = { key = "value or ${param}" }; on-fault;
//	                  max-faults: it is disabled after so many; see [Policy]
//	[[variant]]       when = "Kconfig expression"
//
// # Profile of a kernel
//
// A profile is JSON under the same rules as a manifest, at most 64 MiB, and may
// be compressed with gzip (RFC 1952) as a whole; its fields are those of
// [Profile]. "btf" is the raw BTF of vmlinux, compressed with gzip, in base64;
// at most 64 MiB inflated. "moduleTypes" has that of modules likewise. Values in "config"
// are written as .config does, strings in quotes.
//
// # Lock file
//
// iupkg.lock is JSON under the same rules as a manifest, at most 4 MiB; mistakes
// are reported with file, line and column. It says what was resolved for which
// kernel, so that the same can be installed again and anything else refused:
//
//	schema        1
//	kernel        fingerprint of the kernel:
//	  release       uname -r
//	  version       uname -v; optional
//	  arch          architecture in Go's terms
//	  config        digest of the configuration as lines SYMBOL=value, each with
//	                a newline, in the order of bytes, symbols that are set only and
//	                values as in a profile; none: could not be read
//	  btf           digest of the raw BTF of vmlinux; none: not to be had
//	packages      in an order in which each comes after those it depends on:
//	  name          unique
//	  version       version
//	  digest        of the OCI image manifest
//	  publisher     who signed it, text, at most 1024
//	  keys          1 to 16 ids of the keys whose signatures counted, texts
//	  auto          true if it is there only because another needs it; optional
//	  constraint    that it was asked for by; optional
//	  features      that it was asked for with; optional
package manifest
