// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

func TestReadObject(t *testing.T) {
	raw := CompileObject(t, "ext.c", `-DEXT_VERSION="1.2.3-rc.1+x"`)
	got, err := ReadObject(raw)
	if err != nil {
		t.Fatal(err)
	}
	got.im = nil
	want := &Object{
		Name: "ext", Version: "1.2.3-rc.1+x", Machine: elf.EM_X86_64, Digest: sha256.Sum256(raw),
		Programs: []ObjectProgram{
			{Name: "count_xdp", Hook: HookXDP, Stack: 256, OnFault: 2},
			{Name: "count_tc", Hook: HookTC, Stack: 256},
		},
		Maps: []ObjectMap{
			{Name: "COUNTS", Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 2},
			{Name: "SEEN", Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 16},
		},
		Params: []ObjectParam{
			{Name: "PANIC_LEN", Type: ParamU64, Max: 65535, Value: 1234},
			{Name: "DELTA", Type: ParamI64, Min: ^uint64(9), Max: 10, Value: ^uint64(0)},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestReadObjectRefuses changes one thing of a good object at a time.
func TestReadObjectRefuses(t *testing.T) {
	raw := CompileObject(t, "ext.c")
	im, err := parseImage(raw, objectLimits)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string, off int) int {
		s, err := im.section(name)
		if err != nil || s == nil || off >= len(s.data) {
			t.Fatalf("no %s+%d (%v)", name, off, err)
		}
		return int(s.Off) + off
	}
	header := func(name string, off int) int {
		for i := range im.sections {
			if im.sections[i].name == name {
				return int(im.hdr.Shoff) + i*shdrSize + off
			}
		}
		t.Fatalf("no %s", name)
		return 0
	}
	for _, c := range []struct {
		name  string
		at    int
		bytes string
		want  string
	}{
		{"class", elf.EI_CLASS, "\x01", "not 64-bit"},
		{"type", 16, "\x02", "not a relocatable file"},
		{"section count", 60, "\xff\xff", "65535 sections"},
		{"section table", 40, "\xff\xff\xff\xff\xff\xff\xff\xff", "beyond the file's end"},
		{"section size", header(".text", 32), "\xff\xff\xff\xff\xff\xff\xff\x7f", "beyond the file's end"},
		{"section name", header(".text", 0), "\xff\xff\xff\x00", "beyond the string table"},
		{"section flags", header(".text", 8), "\x07", "do not fit its name"},
		{"section type", header(secProg, 4), "\x08", "do not fit its name"},
		{"rel", header(".rela.text", 4), "\x09", "without addends"},
		{"reloc target", header(".rela.text", 44), "\xff", "no section 255"},
		{"reloc offset", in(".rela.text", 1), "\xff", "is beyond .text"},
		{"reloc symbol", in(".rela.text", 12), "\xff", "no symbol 255"},
		{"magic", in(secInfo, 0), "X", "magic"},
		{"abi", in(secInfo, 4), "\x09", "object ABI 9"},
		{"machine", in(secInfo, 6), "\xb7", "made for EM_AARCH64"},
		{"package name", in(secInfo, 8), "\x00", "name empty"},
		{"package name end", in(secInfo, 8), strings.Repeat("x", 64), "name empty or too long"},
		{"package name rest", in(secInfo, 8+40), "x", "bytes after the name"},
		{"info reserved", in(secInfo, 159), "x", "reserved"},
		{"program name", in(secProg, 0), "a/b\x00\x00\x00\x00\x00\x00", "character"},
		{"program twice", in(secProg, 64), "count_xdp\x00", "second use"},
		{"program hook", in(secProg, 32), "\x00", "unknown hook 0"},
		{"program hook high", in(secProg, 32), "\x0f", "unknown hook 15"},
		{"program flags", in(secProg, 36), "\x80", "unknown flags 0x80"},
		{"program stack", in(secProg, 48), "\x00\x00", "neither bounded nor checked"},
		{"map reserved", in(secMap, 56), "\x01", "reserved"},
		{"map reserved end", in(secMap, 76), "\x01", "reserved"},
		{"map role", in(secMap, 72), "\x03", "unknown role 3"},
		{"role of a hash", in(secMap, 80+72), "\x01", "only a plain array"},
		{"gaps of two", in(secMap, 72), "\x02", "not one number"},
		{"parameter type", in(secParam, 32), "\x07", "unknown type 7"},
		{"parameter default", in(secParam, 56), "\xff\xff\xff", "takes 0 to 65535"},
		{"parameter sign", in(secParam, 64+56), "\x0b\x00\x00\x00\x00\x00\x00\x00", "takes -10 to 10"},
	} {
		b := bytes.Clone(raw)
		copy(b[c.at:], c.bytes)
		_, err := ReadObject(b)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := ReadObject(make([]byte, maxObject+1)); err == nil || !strings.Contains(err.Error(), "more than 4194304") {
		t.Errorf("too long: %v", err)
	}
	for n := range raw {
		if _, err := ReadObject(raw[:n]); err == nil {
			t.Fatalf("the first %d bytes of %d are an object", n, len(raw))
		}
	}
}

func TestResolveParams(t *testing.T) {
	o := &Object{Params: []ObjectParam{
		{Name: "PORT", Type: ParamU64, Min: 1, Max: 65535, Value: 1},
		{Name: "DELTA", Type: ParamI64, Min: ^uint64(9), Max: 10},
		{Name: "ON", Type: ParamBool},
	}}
	n := []int{0, 1, 2}
	m := &manifest.Manifest{Name: "p", Params: []manifest.Param{
		{Name: "ON", Type: manifest.ParamBool, Default: "true", Object: &n[2]},
		{Name: "PORT", Type: manifest.ParamU64, Default: "11211", Min: "1", Max: "99999", Object: &n[0]},
		{Name: "DELTA", Type: manifest.ParamI64, Default: "-3", Object: &n[1]},
		{Name: "iface", Type: manifest.ParamString},
	}}
	texts, values, err := resolveParams(m, o, map[string]string{"iface": "eth0", "DELTA": "-10"})
	if err != nil || texts["iface"] != "eth0" || !reflect.DeepEqual(values, []uint64{11211, ^uint64(9), 1}) {
		t.Errorf("got %v, %v, %v", texts, values, err)
	}
	for set, want := range map[string]string{
		"":                      "iface",
		"iface=eth0 PORT=0":     "1 to 99999",
		"iface=eth0 PORT=65536": "takes 1 to 65535",
		"iface=eth0 DELTA=11":   "takes -10 to 10",
		"iface=eth0 ON=maybe":   "true or false",
		"iface=eth0 PROT=1":     "no parameter",
	} {
		given := map[string]string{}
		for _, kv := range strings.Fields(set) {
			k, v, _ := strings.Cut(kv, "=")
			given[k] = v
		}
		_, _, err := resolveParams(m, o, given)
		if _, ok := err.(*ParamError); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", set, err, want)
		}
	}
	m.Params[1].Object = &n[1]
	if _, _, err := resolveParams(m, o, map[string]string{"iface": "eth0"}); err == nil || !strings.Contains(err.Error(), "manifest and object differ") {
		t.Errorf("wrong index: %v", err)
	}
}

func TestHookNumbers(t *testing.T) {
	for _, name := range manifest.Hooks() {
		h, err := ParseHook(name)
		if err != nil || uint32(h) != name.Number() {
			t.Errorf("hook %s is %d here and %d in manifests (%v)", name, h, name.Number(), err)
		}
	}
}

func FuzzReadObject(f *testing.F) {
	raw := CompileObject(f, "ext.c")
	f.Add(raw)
	f.Add(raw[:200])
	runtime := CompileObject(f, "runtime.c")
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ReadObject(b)
		if err != nil {
			return
		}
		ko, err := Wrap(b, runtime, ModuleName(o.Name, o.Digest))
		if err != nil {
			return
		}
		// What Wrap makes must be readable, with the object's sections first.
		im, err := parseImage(ko, moduleLimits)
		if err != nil {
			t.Fatalf("wrapped: %v", err)
		}
		n := int(binary.LittleEndian.Uint16(b[60:]))
		for i := range n {
			if i != int(im.hdr.Shstrndx) && !bytes.Equal(im.sections[i].data, o.im.sections[i].data) {
				t.Fatalf("section %d changed", i)
			}
		}
	})
}
