// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// testTarget is a kernel with one struct of every kind of member.
func testTarget(t *testing.T) *Target {
	t.Helper()
	u8 := &btf.Int{Name: "u8", Size: 1, Encoding: btf.Unsigned}
	u32 := &btf.Int{Name: "u32", Size: 4, Encoding: btf.Unsigned}
	long := &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}
	typedef := &btf.Typedef{Name: "pid_t", Type: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}}
	inner := &btf.Struct{Name: "inner", Size: 16, Members: []btf.Member{
		{Name: "a", Type: u32, Offset: 0}, {Name: "b", Type: long, Offset: 64},
	}}
	anonymous := &btf.Union{Size: 8, Members: []btf.Member{{Name: "as_long", Type: long}, {Name: "as_byte", Type: u8}}}
	outer := &btf.Struct{Name: "outer", Size: 72, Members: []btf.Member{
		{Name: "pid", Type: typedef, Offset: 0},
		{Name: "low", Type: u32, Offset: 35, BitfieldSize: 3},
		{Name: "across", Type: u32, Offset: 44, BitfieldSize: 9},
		{Name: "in", Type: inner, Offset: 64},
		{Name: "", Type: anonymous, Offset: 192},
		{Name: "comm", Type: &btf.Array{Index: u32, Type: u8, Nelems: 16}, Offset: 256},
		{Name: "next", Type: &btf.Pointer{Target: inner}, Offset: 384},
		{Name: "state", Type: &btf.Const{Type: &btf.Volatile{Type: u32}}, Offset: 448},
	}}
	values := &btf.Enum{Name: "phase", Size: 4, Signed: true, Values: []btf.EnumValue{{Name: "BEFORE", Value: ^uint64(0)}, {Name: "AFTER", Value: 7}}}
	b, err := btf.NewBuilder([]btf.Type{outer, values, &btf.Struct{Name: "phase", Size: 3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return &Target{specs: []*btf.Spec{spec}, source: "a test",
		config: kconfig("CONFIG_SMP=y\nCONFIG_IPV6=m\nCONFIG_HZ=250\nCONFIG_PHYS=0x1000000\nCONFIG_LSM=\"a,b\"\nCONFIG_OFF=n\n")}
}

func TestResolve(t *testing.T) {
	target := testTarget(t)
	field := func(f string, flags KRelocFlags, want uint32) ObjectKReloc {
		return ObjectKReloc{"struct outer", f, KRelocField, flags, want}
	}
	for _, c := range []struct {
		r    ObjectKReloc
		want KRelocValue
		err  string
	}{
		{field("pid", KRelocInt, 4), KRelocValue{Exists: true, Offset: 0, Size: 4}, ""},
		{field("pid", KRelocInt, 8), KRelocValue{Exists: true, Offset: 0, Size: 4}, ""},
		{field("pid", KRelocInt, 2), KRelocValue{}, "struct outer.pid of 4 bytes, not 2"},
		{field("pid", KRelocPtr, 8), KRelocValue{}, "as an integer, not a pointer"},
		{field("low", KRelocInt, 1), KRelocValue{Exists: true, Offset: 4, Size: 1, Bits: 3 | 3<<8}, ""},
		{field("across", KRelocInt, 2), KRelocValue{Exists: true, Offset: 4, Size: 4, Bits: 12 | 9<<8}, ""},
		{field("across", KRelocInt, 1), KRelocValue{}, "as a field of 9 bits"},
		{field("low", 0, 1), KRelocValue{}, "as a field of 3 bits"},
		{field("in.b", KRelocInt, 8), KRelocValue{Exists: true, Offset: 16, Size: 8}, ""},
		{field("in", KRelocInside, 0), KRelocValue{Exists: true, Offset: 8, Size: 16}, ""},
		{field("in.c", KRelocInt, 8), KRelocValue{}, "this kernel has no struct outer.in.c"},
		{field("as_byte", KRelocInt, 1), KRelocValue{Exists: true, Offset: 24, Size: 1}, ""},
		{field("comm", 0, 16), KRelocValue{Exists: true, Offset: 32, Size: 16}, ""},
		{field("comm", 0, 8), KRelocValue{}, "of 16 bytes, not 8"},
		{field("next", KRelocPtr, 8), KRelocValue{Exists: true, Offset: 48, Size: 8}, ""},
		{field("next.a", KRelocInt, 4), KRelocValue{}, "no struct outer.next.a"},
		{field("state", KRelocInt, 4), KRelocValue{Exists: true, Offset: 56, Size: 4}, ""},
		{field("gone", KRelocInt|KRelocOptional, 4), KRelocValue{}, ""},
		{field("comm", KRelocOptional, 8), KRelocValue{}, ""},
		{ObjectKReloc{"union outer", "pid", KRelocField, KRelocInt, 4}, KRelocValue{}, "no union outer"},
		{ObjectKReloc{"struct outer", "", KRelocSize, 0, 0}, KRelocValue{Exists: true, Value: 72}, ""},
		{ObjectKReloc{"struct none", "", KRelocSize, KRelocOptional, 0}, KRelocValue{}, ""},
		{ObjectKReloc{"enum phase", "AFTER", KRelocEnum, 0, 0}, KRelocValue{Exists: true, Value: 7}, ""},
		{ObjectKReloc{"enum phase", "BEFORE", KRelocEnum, 0, 0}, KRelocValue{Exists: true, Value: ^uint64(0)}, ""},
		{ObjectKReloc{"enum phase", "NEVER", KRelocEnum, 0, 0}, KRelocValue{}, "no NEVER in enum phase"},
		{ObjectKReloc{"SMP", "", KRelocConfig, KRelocOptional, 0}, KRelocValue{Exists: true, Value: 1}, ""},
		{ObjectKReloc{"IPV6", "", KRelocConfig, KRelocOptional, 0}, KRelocValue{Exists: true, Value: 2}, ""},
		{ObjectKReloc{"HZ", "", KRelocConfig, KRelocOptional, 0}, KRelocValue{Exists: true, Value: 250}, ""},
		{ObjectKReloc{"PHYS", "", KRelocConfig, KRelocOptional, 0}, KRelocValue{Exists: true, Value: 1 << 24}, ""},
		{ObjectKReloc{"OFF", "", KRelocConfig, KRelocOptional, 0}, KRelocValue{}, ""},
		{ObjectKReloc{"LSM", "", KRelocConfig, KRelocOptional, 0}, KRelocValue{}, ""},
	} {
		got, err := target.Resolve(&c.r)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: %+v, %v, want %q", c.r, got, err, c.err)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%+v: %+v, %v, want %+v", c.r, got, err, c.want)
		}
	}
	// Not knowing the configuration is not the same as an option that is off.
	target.config = nil
	if v, err := target.Resolve(&ObjectKReloc{"SMP", "", KRelocConfig, KRelocOptional, 0}); err == nil {
		t.Errorf("no configuration: %+v", v)
	}
}

func TestParseFormat(t *testing.T) {
	format := []byte(`name: sched_switch
ID: 316
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:char prev_comm[16];	offset:8;	size:16;	signed:0;
	field:pid_t prev_pid;	offset:24;	size:4;	signed:1;
	field:long prev_state;	offset:32;	size:8;	signed:1;
	field:const void * where;	offset:40;	size:8;	signed:0;
	field:__data_loc char[] what;	offset:48;	size:4;	signed:0;

print fmt: "prev_comm=%s field:int no;	offset:1;", REC->prev_comm
`)
	for _, c := range []struct {
		field string
		flags KRelocFlags
		want  uint32
		value KRelocValue
		err   string
	}{
		{"prev_pid", KRelocInt, 4, KRelocValue{Exists: true, Offset: 24, Size: 4}, ""},
		{"common_type", KRelocInt, 4, KRelocValue{Exists: true, Offset: 0, Size: 2}, ""},
		{"prev_comm", 0, 16, KRelocValue{Exists: true, Offset: 8, Size: 16}, ""},
		{"where", KRelocPtr, 8, KRelocValue{Exists: true, Offset: 40, Size: 8}, ""},
		{"what", KRelocInside, 0, KRelocValue{Exists: true, Offset: 48, Size: 4}, ""},
		{"prev_state", KRelocInt, 4, KRelocValue{}, "of 8 bytes, not 4"},
		{"no", KRelocInt, 4, KRelocValue{}, "no field no in tracepoint sched/sched_switch"},
	} {
		got, err := parseFormat(format, &ObjectKReloc{"sched/sched_switch", c.field, KRelocTrace, c.flags, c.want})
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) || c.err == "" && (err != nil || got != c.value) {
			t.Errorf("%s: %+v, %v", c.field, got, err)
		}
	}
}
