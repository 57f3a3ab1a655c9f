// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/iupkg/iupkg/kernel"
)

// The types of maps come from the crate's own types.
func TestMapTypes(t *testing.T) {
	lib := testLib(t)
	r, said, err := build(t, lib, "spin", [3]string{"src/lib.rs", "use iu::prelude::*;\n", `use iu::prelude::*;
#[plain]
struct Odd { r#type: [[i16; 2]; 2], port: net::U16, on: u16, of: u32 }
#[map]
static WIDE___NAME: HashMap<Odd, i64, 2> = HashMap::new();
#[map]
static SMALL: LockedArray<[u8; 5], 2> = LockedArray::new();
#[map]
static ROUTES: LpmTrie<[u8; 16], u64, 2> = LpmTrie::new();
#[map]
static QUEUE: Queue<u32, 2> = Queue::new();
`}, [3]string{"src/lib.rs", "    SEEN.fetch_add(0, 1);\n", "    let _ = (SMALL.lock(0).is_some(), QUEUE.pop(), ROUTES.get(&[0; 16]), WIDE___NAME.get(&Odd { r#type: [[0; 2]; 2], port: 1.into(), on: 1, of: 0 }));\n"})
	if err != nil {
		t.Fatal(err, said)
	}
	raw, err := os.ReadFile(r.ObjectPath)
	if err != nil {
		t.Fatal(err)
	}
	o, err := kernel.ReadObject(raw)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range o.Maps {
		got[m.Name] = show(m.Key) + " -> " + show(m.Value)
	}
	for name, want := range map[string]string{
		"wide___name": "Odd{type@0 [2][2]i16 port@8 U16{__0@0 [2]u8} on@10 u16 of@12 u32} -> i64",
		"small":       "u32 -> Locked{lock@0 u32 value@4 [5]u8}",
		"routes":      "Prefix{prefixlen@0 u32 data@4 [16]u8} -> u64",
		"queue":       "none -> none",
		"seen":        "u32 -> u64",
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
}

func show(t btf.Type) string {
	switch t := t.(type) {
	case *btf.Int:
		return t.Name
	case *btf.Array:
		return fmt.Sprintf("[%d]%s", t.Nelems, show(t.Type))
	case *btf.Struct:
		var m []string
		for _, f := range t.Members {
			m = append(m, fmt.Sprintf("%s@%d %s", f.Name, f.Offset.Bytes(), show(f.Type)))
		}
		return t.Name + "{" + strings.Join(m, " ") + "}"
	}
	return "none"
}

// What is no plain data, or not understood, is bytes; names are C's.
func TestReportTypes(t *testing.T) {
	for want, r := range map[string]*reportType{
		"[7]u8":             {Kind: "bytes", Size: 7},
		"[8]u8":             {Kind: "array", Size: 8, Count: 2}, // of what?
		"[4]u8":             {Kind: "struct", Size: 4, Members: []reportMember{{Name: "a"}}},
		"_3D_x{_1@0 bool_}": {Kind: "struct", Name: "3D x<T>", Size: 1, Members: []reportMember{{Name: "1", Type: &reportType{Kind: "int", Name: "bool ", Size: 1, Encoding: "bool"}}}},
		"[2][3]isize":       {Kind: "array", Count: 2, Of: &reportType{Kind: "array", Count: 3, Of: &reportType{Kind: "int", Name: "isize", Size: 8, Encoding: "signed"}}},
		"_":                 {Kind: "int", Name: "", Size: 1},
		"_ber_{}":           {Kind: "struct", Name: "Über "},
		"[0]u8":             {},
	} {
		if got := show(r.btf()); got != want {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
	}
}
