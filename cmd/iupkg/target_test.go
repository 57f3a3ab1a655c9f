// SPDX-License-Identifier: Apache-2.0

package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/resolve"
)

func to(s string) *string { return &s }

func TestParseSets(t *testing.T) {
	one, err := parseSpecs([]string{"bmc@1.2"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := parseSpecs([]string{"bmc", "dns"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseSets([]string{"iface=eth0", "dns.zone=a=b", "bmc.port="}, []string{"mode", "dns.ttl"}, one)
	want := paramChanges{"bmc": {"iface": to("eth0"), "port": to(""), "mode": nil}, "dns": {"zone": to("a=b"), "ttl": nil}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, c := range []struct {
		set  []string
		want string
	}{
		{[]string{"iface=eth0"}, "which package"},
		{[]string{"bmc.iface"}, "want KEY=VALUE"},
		{[]string{"=eth0"}, "want KEY=VALUE"},
		{[]string{"bmc.iface=eth0", "bmc.iface=eth1"}, "set twice"},
	} {
		_, err := parseSets(c.set, nil, two)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.set, err)
			continue
		}
		if code, _ := explain(err); code != exitUsage {
			t.Errorf("%v: exit code %d", c.set, code)
		}
	}
}

// What was set before stays set, and what was asked for once is no dependency
// that goes away by itself.
func TestTargetOf(t *testing.T) {
	cur := &install.Generation{Packages: []install.Package{
		{Name: "lib", Auto: true},
		{Name: "bmc", Params: map[string]string{"iface": "eth0", "port": "1", "mode": "auto"}, Constraint: "^1"},
		{Name: "old", Constraint: "1.2", Features: []string{"stats"}},
	}}
	specs, err := parseSpecs([]string{"lib", "bmc", "top[log]@^2"})
	if err != nil {
		t.Fatal(err)
	}
	plan := &resolve.Plan{Packages: []resolve.Choice{
		{Name: "new"}, {Name: "lib", Wanted: true}, {Name: "bmc", Wanted: true}, {Name: "top", Wanted: true}, {Name: "old"},
	}}
	got := targetOf(plan, cur, specs, paramChanges{"bmc": {"port": to("2"), "mode": nil}, "top": {"x": to("y")}})
	want := []install.Item{
		{Name: "new", Auto: true},
		{Name: "lib"},
		{Name: "bmc", Params: map[string]string{"iface": "eth0", "port": "2"}},
		{Name: "top", Params: map[string]string{"x": "y"}, Constraint: "^2", Features: []string{"log"}},
		{Name: "old", Constraint: "1.2", Features: []string{"stats"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if cur.Packages[1].Params["port"] != "1" {
		t.Error("the generation was changed")
	}
}
