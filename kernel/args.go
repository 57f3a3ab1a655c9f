// SPDX-License-Identifier: Apache-2.0

package kernel

import "strings"

// ArgKind is enum iu_arg: what a program takes one argument for.
type ArgKind uint32

// The kinds of arguments.
const (
	ArgNone ArgKind = iota
	ArgU8
	ArgU16
	ArgU32
	ArgU64
	ArgI8
	ArgI16
	ArgI32
	ArgI64
	ArgPtr
	ArgBool
	ArgAny // 64 bits of whatever it is
	argMax
)

// argsMax is IU_ARGS_MAX.
const argsMax = 12

var argNames = [argMax]string{"nothing", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "pointer", "bool", "any"}

func (k ArgKind) String() string {
	if k < argMax {
		return argNames[k]
	}
	return "unknown"
}

// Args is iu_abi_prog.args: the arguments of a program, and for fexit what
// the function returns.
type Args uint64

// Kinds lists the arguments.
func (a Args) Kinds() []ArgKind {
	var out []ArgKind
	for n := range argsMax {
		k := ArgKind(a >> (4 * n) & 15)
		if k == ArgNone {
			break
		}
		out = append(out, k)
	}
	return out
}

// Ret is the return value, ArgNone if the program does not ask for it.
func (a Args) Ret() ArgKind { return ArgKind(a >> 60) }

func (a Args) String() string {
	var s []string
	for _, k := range a.Kinds() {
		s = append(s, k.String())
	}
	out := "(" + strings.Join(s, ", ") + ")"
	if r := a.Ret(); r != ArgNone {
		out += " -> " + r.String()
	}
	return out
}

// valid is what kernel/module/abi.c accepts.
func (a Args) valid(h Hook) bool {
	switch h {
	case HookFentry, HookTPBTF, HookLSM:
		if a.Ret() != ArgNone {
			return false
		}
	case HookFexit:
		if a.Ret() >= argMax {
			return false
		}
	default:
		return a == 0
	}
	end := false
	for n := range 15 {
		k := ArgKind(a >> (4 * n) & 15)
		if k != ArgNone && (end || k >= argMax || n >= argsMax) {
			return false
		}
		end = end || k == ArgNone
	}
	return true
}
