// SPDX-License-Identifier: Apache-2.0

package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/iupkg/iupkg/kernel"
)

func TestRates(t *testing.T) {
	status := func(id uint32, name string, runs, panics uint64) kernel.Status {
		return kernel.Status{
			Extension: kernel.Extension{ID: id, Name: name, Version: "1.0.0"},
			Programs: []kernel.ProgramStatus{
				{Name: "rx", Hook: "xdp", Attached: true, Runs: runs, Faults: map[string]uint64{"panic": panics}},
			},
		}
	}
	before := []kernel.Status{status(1, "slow", 10, 0), status(2, "fast", 100, 1), status(3, "replaced", 1000, 5), status(4, "gone", 1, 1)}
	after := []kernel.Status{status(1, "slow", 14, 0), status(2, "fast", 300, 3), status(5, "replaced", 40, 0)}
	// Timed: 200 runs took 100 ms.
	before[1].Programs[0].Time, after[1].Programs[0].Time = time.Second, 1100*time.Millisecond
	got := rates(before, after, 2)
	row := func(name string, runs, faults uint64, rate, bad float64) topRow {
		return topRow{Name: name, Version: "1.0.0", Program: "rx", Hook: "xdp", State: "running", Runs: runs, Faults: faults, RunRate: rate, BadRate: bad}
	}
	fast := row("fast", 300, 3, 100, 1)
	fast.Nanoseconds, fast.Load = 500_000, 0.05
	want := []topRow{fast, row("replaced", 40, 0, 20, 0), row("slow", 14, 0, 2, 0)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
