// SPDX-License-Identifier: Apache-2.0

package index

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

// full is a package in which every field of a version has something.
func full(name string) *Package {
	p := &Package{Schema: schema, Name: name}
	for i := range 3 {
		p.Versions = append(p.Versions, Version{
			Version: fmt.Sprintf("1.%d.0", i), Digest: "sha256:" + hashOf([]byte(name+fmt.Sprint(i))), Yanked: "for a reason",
			Requires: manifest.Requirements{Arch: "amd64", Release: ">=6.1", Config: []string{"A=y", "B"}, BTF: []string{"struct x.y"}, Symbols: []string{"f"},
				Hooks: []manifest.Hook{manifest.HookXDP, manifest.HookTC}, ABI: 300 + i},
			Dependencies: map[string]string{"other": "^1", "third": "*"},
			Conflicts:    map[string]string{"foe": ">=2"},
			Provides:     map[string]string{"virtual": "1.0.0", "of-" + name: "2.0.0"},
			Features:     map[string]manifest.Relations{"stats": {"exporter[log]": "^1"}, "none": nil},
			Variants: []manifest.CandidateVariant{
				{Digest: "sha256:" + hashOf([]byte("numa"+name)), Requires: manifest.Requirements{Config: []string{"NUMA!=n"}, Hooks: []manifest.Hook{manifest.HookXDP}, ABI: 1}},
				{Digest: "sha256:" + hashOf([]byte("flat"+name)), Requires: manifest.Requirements{Config: []string{"!(NUMA!=n)"}, Hooks: []manifest.Hook{manifest.HookXDP}, ABI: 1}},
			},
		})
	}
	return p
}

// TestFactsHaveAllOfAVersion goes over the type, so that a field that is added to
// it and forgotten in the facts file is found.
func TestFactsHaveAllOfAVersion(t *testing.T) {
	p := full("bmc")
	name, got, err := decodeFacts(encodeFacts(p))
	if err != nil || name != "bmc" || !reflect.DeepEqual(got, p.Versions) {
		t.Errorf("%s %+v, %v\nwant %+v", name, got, err, p.Versions)
	}
	var empty func(path string, v reflect.Value)
	empty = func(path string, v reflect.Value) {
		if v.IsZero() {
			t.Errorf("%s is empty: this test proves nothing of it", path)
		}
		if v.Kind() == reflect.Struct {
			for f, x := range v.Fields() {
				empty(path+"."+f.Name, x)
			}
		}
	}
	empty("version", reflect.ValueOf(got[0]))
}

// TestFactsAreTheIndexs compares what the facts file says with the signed bins,
// when all is new and when most is taken over.
func TestFactsAreTheIndexs(t *testing.T) {
	k, _ := sharedKeys()
	s := newShelf()
	p := &Publisher{Remote: s, Keys: k}
	var entries []Entry
	for i := range 300 {
		name := fmt.Sprintf("p%d", i)
		for _, v := range full(name).Versions {
			entries = append(entries, Entry{Name: name, License: "Apache-2.0", Version: v})
		}
	}
	publish(t, p, entries...)
	dir := t.TempDir()
	compare := func() {
		t.Helper()
		if _, err := Sync(t.Context(), s, dir, k.IndexRoot); err != nil {
			t.Fatal(err)
		}
		x, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		names, err := x.Names()
		if err != nil || len(names) < 300 {
			t.Fatal(len(names), err)
		}
		for _, n := range names {
			want, err := x.Info(n)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := x.Versions(n); err != nil || !reflect.DeepEqual(got, want.Versions) {
				t.Errorf("%s: %+v, %v\nwant %+v", n, got, err, want.Versions)
			}
		}
		if list, err := x.Providers("of-p7"); err != nil || len(list) != 1 || list[0] != "p7" {
			t.Errorf("providers of of-p7: %v, %v", list, err)
		}
		if list, err := x.Providers("virtual"); err != nil || len(list) != 300 || list[0] != "p0" {
			t.Errorf("%d providers of virtual, %v", len(list), err)
		}
		var unknown *UnknownPackage
		if _, err := x.Versions("nosuch"); !errors.As(err, &unknown) {
			t.Errorf("nosuch: %v", err)
		}
	}
	compare()
	publish(t, p, Entry{Name: "p7", License: "Apache-2.0", Version: Version{Version: "9.0.0", Digest: "sha256:" + hashOf(nil)}}, entry("new", "1.0.0"))
	compare()
}

func FuzzFacts(f *testing.F) {
	f.Add(encodeFacts(full("bmc")))
	f.Add([]byte{1, 1, 'a', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		name, list, err := decodeFacts(b)
		if err != nil {
			return
		}
		again, same, err := decodeFacts(encodeFacts(&Package{Name: name, Versions: list}))
		if err != nil || again != name || len(same) != len(list) {
			t.Errorf("%q became %q: %v", name, again, err)
		}
	})
}
