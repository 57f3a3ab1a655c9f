// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUpdateDocument(t *testing.T) {
	number := func(v float64) *float64 { return &v }
	dir := t.TempDir()
	doc := filepath.Join(dir, "evaluation.md")
	var text strings.Builder
	for _, s := range sections {
		text.WriteString("before " + s.marker + "\n<!-- " + s.marker + ":begin -->\nold of " + s.marker + "\n<!-- " + s.marker + ":end -->\n")
	}
	if err := os.WriteFile(doc, []byte(text.String()+"the end\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := &report{Results: []result{
		{Name: "bmc.get.hit", Value: 400, Unit: "instructions", Baseline: number(800), Ratio: number(0.5)},
		{Name: "bmc.get.memcached", Value: 1000, Unit: "instructions", Baseline: number(10000), Ratio: number(0.1)},
		{Name: "bmc.programs", Value: 2, Unit: "programs"},
		{Name: "bmc.host.threads2", Value: 30, Unit: "hits/s", Baseline: number(20), Ratio: number(1.5)},
	}}
	if err := r.updateDocument(doc); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	for _, want := range []string{
		"old of bench\n", // not measured, so it stays
		"| figure | value | unit | target | BMC in eBPF | ratio |\n| --- | ---: | --- | ---: | ---: | ---: |\n| `bmc.get.hit` | 400 | instructions | at most 0.80 of it | 800 | 0.50 |\n| `bmc.programs` | 2 | programs |  |  |  |\n\n<!-- bmc:end -->",
		"memcached alone | ratio |\n| --- | ---: | --- | ---: | ---: | ---: |\n| `bmc.get.memcached` | 1000 | instructions | at most 0.15 of it | 10000 | 0.10 |\n",
		"one thread | ratio |\n| --- | ---: | --- | ---: | ---: | ---: |\n| `bmc.host.threads2` | 30 | hits/s |  | 20 | 1.50 |\n",
		"the end\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "old of bmc") {
		t.Errorf("what was measured anew stands there as it was:\n%s", got)
	}
	for _, name := range []string{"bmc-hit.svg", "bmc-hit.png", "bmc-path.svg"} {
		if _, err := os.Stat(filepath.Join(dir, "figures", name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "figures", "runtime.svg")); err == nil {
		t.Error("a figure without numbers was drawn")
	}
	if err := os.WriteFile(doc, []byte("no markers"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.updateDocument(doc); err == nil {
		t.Error("a document without markers was accepted")
	}
}

func TestRatioTargets(t *testing.T) {
	figure := func(name string, ratio float64) result { return result{Name: name, Ratio: &ratio} }
	for _, c := range []struct {
		f      result
		missed bool
	}{
		{figure("bmc.get.hit", 0.8), false},
		{figure("bmc.get.hit", 0.81), true},
		{figure("bmc.get.memcached", 0.16), true},
		{figure("bmc.load.hit90", 2.9), true},
		{figure("bmc.load.hit90", 3), false},
		{figure("bmc.load.hit50", 1), false},
		{result{Name: "bmc.get.hit"}, false},
	} {
		r := &report{Results: []result{c.f}}
		if got := r.missed() != nil; got != c.missed {
			t.Errorf("%s: missed is %v", c.f.Name, got)
		}
	}
}
