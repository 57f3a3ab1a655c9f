// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf/btf"
)

// btfTarget is a function of the kernel that a program with typed arguments
// attaches to.
type btfTarget struct {
	name string
	id   uint32
	obj  *btf.Handle // of the module's BTF; nil: vmlinux
	args []btfArg
	ret  *btfArg // nil: void
}

// btfArg is an argument, or what the function returns.
type btfArg struct {
	typ  btf.Type
	slot int // where it is in the context, in words
	// loads: the verifier lets a program load it. It refuses pointers to what
	// it has no rules for, such as pointers and functions.
	loads bool
}

// btfNames says what stands for a target in BTF.
var btfNames = map[Hook]struct{ key, prefix string }{
	HookFentry: {"function", ""},
	HookFexit:  {"function", ""},
	HookTPBTF:  {"tracepoint", "btf_trace_"},
	HookLSM:    {"hook", "bpf_lsm_"},
}

// findBTFTarget looks the target of a program up in the BTF of the kernel, or
// of the module that the target names.
func findBTFTarget(hook Hook, target map[string]string) (*btfTarget, error) {
	n := btfNames[hook]
	name, module := target[n.key], target["module"]
	var spec *btf.Spec
	var err error
	if module == "" {
		spec, err = btf.LoadKernelSpec()
	} else {
		spec, err = btf.LoadKernelModuleSpec(module)
	}
	if errors.Is(err, fs.ErrNotExist) && module != "" {
		return nil, &ParamError{fmt.Errorf("module %s is not loaded, or has no BTF", module)}
	}
	if err != nil {
		return nil, fmt.Errorf("BTF of the kernel: %w", err)
	}
	t, proto, err := findProto(spec, n.prefix+name)
	if err != nil {
		return nil, err
	}
	if proto == nil {
		return nil, &ParamError{fmt.Errorf("the kernel has no %s %q that a program can attach to", n.key, name)}
	}
	id, err := spec.TypeID(t)
	if err != nil {
		return nil, err
	}
	out := &btfTarget{name: name, id: uint32(id)}
	if err := out.layOut(hook, proto); err != nil {
		return nil, fmt.Errorf("%s %s: %w", n.key, name, err)
	}
	if module != "" {
		out.obj, err = moduleHandle(module)
		if err != nil {
			return nil, fmt.Errorf("BTF of module %s: %w", module, err)
		}
	}
	return out, nil
}

func (t *btfTarget) close() {
	if t != nil && t.obj != nil {
		t.obj.Close()
	}
}

// findProto finds a function, or a typedef of a pointer to a function's type.
func findProto(spec *btf.Spec, name string) (btf.Type, *btf.FuncProto, error) {
	types, err := spec.AnyTypesByName(name)
	if err != nil && !errors.Is(err, btf.ErrNotFound) {
		return nil, nil, fmt.Errorf("BTF of the kernel: %w", err)
	}
	for _, t := range types {
		var inner btf.Type
		switch t := t.(type) {
		case *btf.Func:
			inner = t.Type
		case *btf.Typedef:
			if p, ok := t.Type.(*btf.Pointer); ok {
				inner = p.Target
			}
		}
		if p, ok := inner.(*btf.FuncProto); ok {
			return t, p, nil
		}
	}
	return nil, nil, nil
}

// layOut finds the words of the context that the arguments are in.
func (t *btfTarget) layOut(hook Hook, proto *btf.FuncProto) error {
	params := proto.Params
	if hook == HookTPBTF && len(params) > 0 {
		params = params[1:] // the tracepoint's own data
	}
	slot := 0
	for i, p := range params {
		size, err := btf.Sizeof(p.Type)
		if _, void := btf.UnderlyingType(p.Type).(*btf.Void); void || err != nil {
			return fmt.Errorf("argument %d has no size: a function with a variable number of them?", i)
		}
		words := max(1, (size+wordSize-1)/wordSize)
		t.args = append(t.args, btfArg{p.Type, slot, loads(p.Type)})
		slot += words
	}
	if slot > argsMax {
		return fmt.Errorf("its arguments have %d words, at most %d are passed on", slot, argsMax)
	}
	if _, void := btf.UnderlyingType(proto.Return).(*btf.Void); !void {
		t.ret = &btfArg{proto.Return, slot, loads(proto.Return)}
	}
	return nil
}

// loads is what btf_ctx_access of kernel/bpf/btf.c accepts.
func loads(t btf.Type) bool {
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return true
	}
	switch btf.UnderlyingType(p.Target).(type) {
	case *btf.Void, *btf.Int, *btf.Struct, *btf.Union:
		return true
	}
	return false
}

// check compares what a program takes with what the function has.
func (t *btfTarget) check(hook Hook, a Args) error {
	kinds := a.Kinds()
	if len(kinds) > len(t.args) {
		return fmt.Errorf("the program takes %d arguments %s, %s has %d", len(kinds), a, t.name, len(t.args))
	}
	for i, k := range kinds {
		if why := mismatch(k, t.args[i].typ); why != "" {
			return fmt.Errorf("argument %d of %s %s, the program takes %s", i, t.name, why, k)
		}
		if hook == HookTPBTF && !t.args[i].loads {
			return fmt.Errorf("argument %d of %s cannot be read: the verifier has no rules for %v", i, t.name, t.args[i].typ)
		}
	}
	if a.Ret() == ArgNone {
		return nil
	}
	if t.ret == nil {
		return fmt.Errorf("%s returns nothing, the program takes %s", t.name, a.Ret())
	}
	if why := mismatch(a.Ret(), t.ret.typ); why != "" {
		return fmt.Errorf("what %s returns %s, the program takes %s", t.name, why, a.Ret())
	}
	return nil
}

// intKinds has size and sign of the integer kinds.
var intKinds = map[ArgKind]struct {
	size   int
	signed bool
}{
	ArgU8: {1, false}, ArgU16: {2, false}, ArgU32: {4, false}, ArgU64: {8, false},
	ArgI8: {1, true}, ArgI16: {2, true}, ArgI32: {4, true}, ArgI64: {8, true},
}

// mismatch says what a type is if a program cannot take it for k.
func mismatch(k ArgKind, typ btf.Type) string {
	if k == ArgAny {
		return ""
	}
	want, isInt := intKinds[k]
	switch t := btf.UnderlyingType(typ).(type) {
	case *btf.Pointer:
		if k != ArgPtr {
			return "is a pointer"
		}
	case *btf.Int:
		switch {
		case t.Encoding == btf.Bool && k != ArgBool:
			return "is a bool"
		case t.Encoding == btf.Bool:
		case !isInt || want.size != int(t.Size):
			return fmt.Sprintf("is %s of %d bytes", t.Name, t.Size)
		case t.Size > 1 && want.signed != (t.Encoding == btf.Signed):
			// Whether a char has a sign is nobody's business.
			if want.signed {
				return fmt.Sprintf("is %s, without a sign", t.Name)
			}
			return fmt.Sprintf("is %s, with a sign", t.Name)
		}
	case *btf.Enum:
		if !isInt || want.size != int(t.Size) {
			return fmt.Sprintf("is an enum of %d bytes", t.Size)
		}
	default:
		return fmt.Sprintf("is a %T", t)
	}
	return ""
}
