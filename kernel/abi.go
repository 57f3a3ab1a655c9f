// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"

	"github.com/iupkg/iupkg/manifest"
)

// Mirror of kernel/module/iu_abi.h, which says what every field means.
const (
	ABIVersion = 1
	abiMagic   = 0x58455549

	abiNameLen = 32
	abiPkgLen  = 64
	abiVerLen  = 64

	maxObject   = 4 << 20
	maxSections = 256
	maxSymbols  = 65536
	maxRelocs   = 262144
	maxProgs    = 32
	maxMaps     = 64
	maxParams   = 64
	maxKRelocs  = 256
	abiCNameLen = 64

	secInfo   = ".iu.info"
	secProg   = ".iu.prog"
	secMap    = ".iu.map"
	secParam  = ".iu.param"
	secKReloc = ".iu.reloc"
)

// Hook is enum iu_hook.
type Hook uint32

// The hooks of the object ABI.
const (
	HookNone Hook = iota
	HookXDP
	HookTC
	HookKprobe
	HookTracepoint
	HookPerfEvent
	HookFentry
	HookFexit
	HookTPBTF
	HookLSM
	HookCgroupSKB
	HookCgroupSockAddr
	HookSocketFilter
	HookKretprobe
	HookUprobe
	hookMax
)

var hookNames = [hookMax]string{
	"none", "xdp", "tc", "kprobe", "tracepoint", "perf_event", "fentry", "fexit", "tp_btf",
	"lsm", "cgroup_skb", "cgroup_sock_addr", "socket_filter", "kretprobe", "uprobe",
}

// String is the hook's name in manifests.
func (h Hook) String() string {
	if h < hookMax {
		return hookNames[h]
	}
	return fmt.Sprintf("hook(%d)", uint32(h))
}

// ParseHook finds a hook by its name in manifests.
func ParseHook(name manifest.Hook) (Hook, error) {
	for h := HookXDP; h < hookMax; h++ {
		if hookNames[h] == string(name) {
			return h, nil
		}
	}
	return HookNone, fmt.Errorf("unknown hook %q", name)
}

// ProgFlags is iu_abi_prog.flags.
type ProgFlags uint32

// Flags of a program.
const (
	ProgPoll       ProgFlags = 1 << 0 // loops poll
	ProgStackCheck ProgFlags = 1 << 1 // the stack is checked at run time
)

// ParamType is enum iu_param_type.
type ParamType uint32

// Types of a parameter.
const (
	ParamBool ParamType = 1
	ParamU64  ParamType = 2
	ParamI64  ParamType = 3
)

// KRelocKind is enum iu_kreloc_kind.
type KRelocKind uint32

// What a kernel relocation asks for.
const (
	KRelocField  KRelocKind = 1 // where a member lies
	KRelocSize   KRelocKind = 2 // size of a type
	KRelocEnum   KRelocKind = 3 // value of an enumerator
	KRelocConfig KRelocKind = 4 // an option of the configuration
	KRelocTrace  KRelocKind = 5 // where a field of a tracepoint's record lies
)

// KRelocFlags is iu_abi_kreloc.flags.
type KRelocFlags uint32

// Flags of a kernel relocation.
const (
	KRelocOptional KRelocFlags = 1 << 0 // may be missing
	KRelocInt      KRelocFlags = 1 << 1 // an integer, or a bit field
	KRelocPtr      KRelocFlags = 1 << 2 // a pointer
	KRelocInside   KRelocFlags = 1 << 3 // its address is taken
)

const maxKRelocBytes = 1 << 20

type abiInfo struct {
	Magic    uint32
	ABI      uint16
	Machine  uint16
	Name     [abiPkgLen]byte
	Version  [abiVerLen]byte
	Reserved [3]uint64
}

type abiProg struct {
	Name    [abiNameLen]byte
	Hook    uint32
	Flags   uint32
	Entry   uint64
	Stack   uint32
	OnFault int32
	Args    uint64
}

// MapRole is what the runtime does for a map, enum iu_map_role.
type MapRole uint32

// The roles.
const (
	MapRoleNone  MapRole = 0
	MapRoleSized MapRole = 1 // its size is chosen when it is made
	MapRoleGaps  MapRole = 2 // counts when programs may have missed something
	mapRoleMax           = MapRoleGaps
)

type abiMap struct {
	Name       [abiNameLen]byte
	Type       uint32
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
	MapFlags   uint32
	Stride     uint32
	Map        uint64
	Data       uint64
	Role       uint32
	Reserved   uint32
}

type abiParam struct {
	Name     [abiNameLen]byte
	Type     uint32
	Reserved uint32
	Min      uint64
	Max      uint64
	Value    uint64
}

type abiKreloc struct {
	Type     [abiCNameLen]byte
	Field    [abiCNameLen]byte
	Kind     uint32
	Flags    uint32
	Want     uint32
	Exists   uint32
	Offset   uint32
	Size     uint32
	Bits     uint32
	Reserved uint32
	Value    uint64
}
