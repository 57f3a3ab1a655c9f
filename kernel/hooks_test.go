// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// TestMadeStubs checks that each has its slot once, one kfunc call, and jumps
// that lead somewhere.
func TestMadeStubs(t *testing.T) {
	arg := btfArg{typ: &btf.Int{Size: 8}, slot: 0, loads: true}
	odd := btfArg{typ: &btf.Pointer{Target: &btf.Pointer{Target: &btf.Void{}}}, slot: 1}
	for hook := range madeStubs {
		spec, err := slotStub(hook, 77, &stubTarget{size: 21, btf: &btfTarget{args: []btfArg{arg, odd}, ret: &arg}})
		if err != nil {
			t.Fatal(err)
		}
		slots, calls := 0, 0
		for _, in := range spec.Instructions {
			if in.Constant == 77 {
				slots++
			}
			if in.IsKfuncCall() {
				calls++
			}
		}
		if slots != 1 || calls != 1 {
			t.Errorf("%s: %d slots, %d calls", hook, slots, calls)
		}
		if err := fixJumps(spec.Instructions); err != nil {
			t.Errorf("%s: %v", hook, err)
		}
		if last := spec.Instructions[len(spec.Instructions)-1]; last.OpCode.JumpOp() != asm.Exit {
			t.Errorf("%s does not end", hook)
		}
	}
	for hook := HookXDP; hook < hookMax; hook++ {
		if _, ok := hooksNeed[hook]; !ok {
			t.Errorf("nobody knows what %s needs", hook)
		}
		if attachers[hook] == nil && hook != HookSocketFilter {
			t.Errorf("%s cannot be attached", hook)
		}
	}
}

func TestRecordEnd(t *testing.T) {
	const format = "name: x\nID: 1\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n" +
		"\n\tfield:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;\n\tfield:pid_t pid;\toffset:12;\tsize:4;\tsigned:1;\n\nprint fmt: \"x\"\n"
	if n, err := recordEnd(format); n != 16 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{"", "\tfield:x;\toffset:y;\tsize:2;", "\tfield:x;\toffset:0;\tsize:99999;"} {
		if n, err := recordEnd(bad); err == nil {
			t.Errorf("%q: %d", bad, n)
		}
	}
	for in, want := range map[string]string{"0": "[0]", "0-3,5": "[0 1 2 3 5]", "": "", "3-1": "", "x": ""} {
		got, err := parseCPUs(in)
		if (err != nil) != (want == "") || err == nil && fmt.Sprint(got) != want {
			t.Errorf("CPUs %q: %v, %v", in, got, err)
		}
	}
}

func TestArgs(t *testing.T) {
	ptr := &btf.Pointer{Target: &btf.Struct{}}
	i32, u64 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, &btf.Int{Name: "u64", Size: 8}
	to := &btfTarget{name: "f"}
	proto := &btf.FuncProto{Return: i32, Params: []btf.FuncParam{
		{Name: "a", Type: ptr}, {Name: "b", Type: &btf.Typedef{Name: "t", Type: i32}}, {Name: "c", Type: &btf.Int{Size: 1, Encoding: btf.Bool}},
		{Name: "d", Type: &btf.Struct{Size: 16}}, {Name: "e", Type: u64},
	}}
	if err := to.layOut(HookFentry, proto); err != nil {
		t.Fatal(err)
	}
	if got := to.args[4].slot; got != 5 {
		t.Errorf("the argument behind a struct is word %d", got)
	}
	args := func(kinds ...ArgKind) (a Args) {
		for i, k := range kinds {
			a |= Args(k) << (4 * i)
		}
		return a
	}
	ret := func(k ArgKind) Args { return Args(k) << 60 }
	for _, c := range []struct {
		args Args
		want string
	}{
		{args(), ""},
		{args(ArgPtr, ArgI32, ArgBool, ArgAny, ArgU64), ""},
		{args(ArgPtr, ArgI32) | ret(ArgI32), ""},
		{args(ArgU64), "argument 0 of f is a pointer"},
		{args(ArgPtr, ArgU32), "argument 1 of f is int, with a sign"},
		{args(ArgPtr, ArgI64), "argument 1 of f is int of 4 bytes"},
		{args(ArgPtr, ArgPtr), "argument 1 of f is int of 4 bytes"},
		{args(ArgAny, ArgAny, ArgU8), "argument 2 of f is a bool"},
		{args(ArgAny, ArgAny, ArgAny, ArgU64), "argument 3 of f is a *btf.Struct"},
		{args(ArgAny, ArgAny, ArgAny, ArgAny, ArgI64), "argument 4 of f is u64, without a sign"},
		{args(ArgAny, ArgAny, ArgAny, ArgAny, ArgAny, ArgAny), "takes 6 arguments"},
		{ret(ArgU32), "what f returns is int, with a sign"},
	} {
		err := to.check(HookFexit, c.args)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
	if err := to.layOut(HookFentry, &btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{{Type: &btf.Void{}}}}); err == nil {
		t.Error("a function with a variable number of arguments was taken")
	}
}
