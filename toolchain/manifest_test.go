// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"reflect"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

func TestMergeParams(t *testing.T) {
	minusOne := ^uint64(0)
	object := []kernel.ObjectParam{
		{Name: "port", Type: kernel.ParamU64, Min: 1, Max: 65535, Value: 80},
		{Name: "low", Type: kernel.ParamI64, Min: minusOne, Max: 1, Value: minusOne},
		{Name: "on", Type: kernel.ParamBool, Max: 1, Value: 1},
	}
	zero, one, two := 0, 1, 2
	got, err := mergeParams(object, []manifest.ProjectParam{
		{Name: "iface", Type: "string", Doc: "where"},
		{Name: "port", Type: "u64", Default: "80", Min: "1", Max: "65535", Doc: "which"},
	})
	want := []manifest.Param{
		{Name: "port", Type: "u64", Default: "80", Min: "1", Max: "65535", Doc: "which", Object: &zero},
		{Name: "low", Type: "i64", Default: "-1", Min: "-1", Max: "1", Object: &one},
		{Name: "on", Type: "bool", Default: "true", Object: &two},
		{Name: "iface", Type: "string", Doc: "where"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for _, c := range []struct {
		project manifest.ProjectParam
		want    string
	}{
		{manifest.ProjectParam{Name: "port", Default: "81"}, "params.port.default: 81, but the source says 80"},
		{manifest.ProjectParam{Name: "port", Type: "i64"}, "params.port.type: i64, but the source says u64"},
		{manifest.ProjectParam{Name: "port", Min: "0"}, "params.port.range: 0, but the source says 1"},
		{manifest.ProjectParam{Name: "prot"}, "params.prot: no #[param]"},
	} {
		if _, err := mergeParams(object, []manifest.ProjectParam{c.project}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.project, err, c.want)
		}
	}
}

func TestMergePrograms(t *testing.T) {
	object := []kernel.ObjectProgram{{Name: "rx", Hook: kernel.HookXDP, Stack: 64, OnFault: 2}}
	attach := map[string]string{"interface": "eth0"}
	got, err := mergePrograms(object, []manifest.ProjectProgram{{Name: "rx", Hook: "xdp", Attach: attach, MaxFaults: 3}})
	want := []manifest.Program{{Name: "rx", Hook: "xdp", Attach: attach, OnFault: "pass", MaxFaults: 3, Stack: 64}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	rx := manifest.ProjectProgram{Name: "rx", Hook: "xdp"}
	for want, project := range map[string][]manifest.ProjectProgram{
		"program.rx: is missing: the source has #[xdp] fn rx":       {},
		"program.rx.hook: is tc, but the source says xdp":           {{Name: "rx", Hook: "tc"}},
		"program.tx: the source has no #[tc] function of this name": {rx, {Name: "tx", Hook: "tc"}},
	} {
		if _, err := mergePrograms(object, project); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
