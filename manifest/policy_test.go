// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"testing"
	"time"
)

func TestPolicies(t *testing.T) {
	m := &Manifest{Name: "x", Params: []Param{{Name: "rate", Type: ParamU64, Default: "1", Min: "0", Max: "9"}}, Programs: []Program{
		{Name: "rx", Hook: HookXDP},
		{Name: "tx", Hook: HookTC, MaxFaults: 3},
	}}
	remote := HookXDP.defaultPolicy()
	for _, c := range []struct {
		set    map[string]string
		rx, tx Policy
	}{
		{nil, remote, Policy{MaxFaults: 3}},
		{map[string]string{"rate": "2"}, remote, Policy{MaxFaults: 3}},
		{map[string]string{"faults": "keep"}, Policy{}, Policy{}},
		{map[string]string{"faults": "7", "rx/faults": "5/2s"}, Policy{MaxFaults: 5, Window: 2 * time.Second}, Policy{MaxFaults: 7}},
		{map[string]string{"budget": "1ms", "tx/budget": "1s"},
			Policy{Budget: time.Millisecond, MaxFaults: remote.MaxFaults, Window: remote.Window}, Policy{Budget: time.Second, MaxFaults: 3}},
	} {
		got, err := m.Policies(c.set)
		if err != nil || got["rx"] != c.rx || got["tx"] != c.tx || len(got) != 2 {
			t.Errorf("%v: %+v, %v", c.set, got, err)
		}
		texts, err := m.Settings(c.set)
		if err != nil || len(texts) != 1 {
			t.Errorf("%v: settings %v, %v", c.set, texts, err)
		}
	}
	for _, set := range []map[string]string{
		{"budget": "999ns"}, {"budget": "1001ms"}, {"budget": "5"}, {"budget": ""}, {"nope/budget": "1ms"}, {"/budget": "1ms"},
		{"faults": "0"}, {"faults": "-1"}, {"faults": "3/0s"}, {"faults": "3/2h"}, {"faults": "2147483648"}, {"faults": "3/"}, {"rx/faults": "many"},
		{"rx/rate": "1"}, {"budgets": "1ms"},
	} {
		if got, err := m.Settings(set); err == nil {
			t.Errorf("%v: taken as %v", set, got)
		}
	}
	// A parameter of that name comes first.
	m.Params = append(m.Params, Param{Name: "budget", Type: ParamU64, Default: "1", Min: "0", Max: "9"})
	got, err := m.Policies(map[string]string{"budget": "5", "rx/budget": "2ms"})
	if err != nil || got["rx"].Budget != 2*time.Millisecond || got["tx"].Budget != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
