// SPDX-License-Identifier: Apache-2.0

package manifest

// Schema is the version of the manifest format that this package reads and
// writes.
const Schema = 1

// Manifest describes one built extension. It is the config blob of the OCI
// artifact, so everything that is decided before an object is fetched (does it
// fit this kernel, what does it attach to, which parameters does it take) stands
// here, and the signatures over the artifact cover it.
type Manifest struct {
	Schema      int    `json:"schema"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
	License     string `json:"license"`
	Repository  string `json:"repository,omitempty"`

	// Arch is the machine the object runs on, in Go's terms ("amd64").
	Arch   string `json:"arch"`
	Object Object `json:"object"`

	Requires     Requirements      `json:"requires"`
	Dependencies map[string]string `json:"dependencies,omitempty"`
	Conflicts    map[string]string `json:"conflicts,omitempty"`
	// As in Candidate.
	Provides map[string]string    `json:"provides,omitempty"`
	Features map[string]Relations `json:"features,omitempty"`

	// Params, Programs and Maps are in the order of the object's tables, save
	// that Params may be followed by ones that only attachments refer to.
	Params   []Param   `json:"params,omitempty"`
	Programs []Program `json:"programs"`
	Maps     []Map     `json:"maps,omitempty"`

	SelfTests []SelfTest `json:"selftests,omitempty"`

	Toolchain Toolchain `json:"toolchain"`
}

// Object identifies the ELF object.
type Object struct {
	Digest string `json:"digest"` // "sha256:" and 64 hex digits
	Size   int64  `json:"size"`   // bytes
}

// Requirements is what a kernel must offer.
type Requirements struct {
	// Arch is the manifest's, so that a Requirements is whole by itself; empty
	// is any.
	Arch    string   `json:"arch,omitempty"`
	Release string   `json:"release,omitempty"` // semver range over x.y.z of the release, ">=6.1"
	Config  []string `json:"config,omitempty"`  // Kconfig expressions, all must hold
	BTF     []string `json:"btf,omitempty"`     // "struct sk_buff.len", "func tcp_v4_rcv", see BTFReq
	Symbols []string `json:"symbols,omitempty"` // that the kernel exports, "tcp_hashinfo"
	Hooks   []Hook   `json:"hooks"`             // derived from Programs
	ABI     int      `json:"abi"`               // IU_ABI_VERSION the object was built for
}

// ParamType is the type of a parameter's value.
type ParamType string

// The parameter types. Strings are for attachments only (an interface's name).
const (
	ParamBool   ParamType = "bool"
	ParamU64    ParamType = "u64"
	ParamI64    ParamType = "i64"
	ParamString ParamType = "string"
)

// Param is a value that the user may set at install. Numbers are written in
// decimal so that 64 bits survive every JSON reader.
type Param struct {
	Name    string    `json:"name"`
	Type    ParamType `json:"type"`
	Default string    `json:"default,omitempty"` // empty: must be given
	Min     string    `json:"min,omitempty"`
	Max     string    `json:"max,omitempty"`
	Doc     string    `json:"doc,omitempty"`
	// Object says that the value goes into the object's table, at this index.
	Object *int `json:"object,omitempty"`
}

// Program is one entry point.
type Program struct {
	Name string `json:"name"`
	Hook Hook   `json:"hook"`
	// Attach is where it goes by default; values may be "${param}". Keys depend
	// on the hook: see the package comment.
	Attach map[string]string `json:"attach,omitempty"`
	// OnFault is the verdict after a fault, by the hook's own name for it.
	OnFault string `json:"onFault"`
	// MaxFaults disables the program after so many faults; 0: by the hook's
	// default (Policy).
	MaxFaults uint32 `json:"maxFaults,omitempty"`
	// Stack is the proven bound in bytes; 0 means checked at run time.
	Stack uint32 `json:"stack,omitempty"`
}

// Map is one BPF map the object declares.
type Map struct {
	Name       string `json:"name"`
	Type       uint32 `json:"type"` // enum bpf_map_type
	KeySize    uint32 `json:"keySize"`
	ValueSize  uint32 `json:"valueSize"`
	MaxEntries uint32 `json:"maxEntries"`
	Flags      uint32 `json:"flags,omitempty"`
	// Entries names the parameter that says how many entries it gets, MaxEntries at
	// most; empty: so many.
	Entries string `json:"entries,omitempty"`
	// Migrate is for upgrades from and, undone, to a version in which it is of
	// another shape.
	Migrate Migration `json:"migrate,omitempty"`
	// Counters names the values of an array of counters, per CPU or not, from the first on.
	Counters []string `json:"counters,omitempty"`
}

// Toolchain records what built the object.
type Toolchain struct {
	Rustc string `json:"rustc"`
	LLVM  string `json:"llvm"`
	IU    string `json:"iu"`   // version of crate, pass and ABI
	Pass  string `json:"pass"` // digest of the pass plugin
}

// Hook names a kind of attachment point, as in iu_abi.h.
type Hook string

// The hooks. Numbers are the object ABI's.
const (
	HookXDP            Hook = "xdp"
	HookTC             Hook = "tc"
	HookKprobe         Hook = "kprobe"
	HookKretprobe      Hook = "kretprobe"
	HookUprobe         Hook = "uprobe"
	HookTracepoint     Hook = "tracepoint"
	HookPerfEvent      Hook = "perf_event"
	HookFentry         Hook = "fentry"
	HookFexit          Hook = "fexit"
	HookTPBTF          Hook = "tp_btf"
	HookLSM            Hook = "lsm"
	HookCgroupSKB      Hook = "cgroup_skb"
	HookCgroupSockAddr Hook = "cgroup_sock_addr"
	HookSocketFilter   Hook = "socket_filter"
)
