// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// backstops runs objects that our toolchain does not make, signed by somebody who may: a
// program that returns with things held, and one that neither returns nor polls, each where it is
// called and on a stack of its own.
func (g *guest) backstops(t *testing.T) {
	for version, cause := range map[string]string{"3.0.0": "leak", "3.1.0": "leak", "4.0.0": "budget", "4.1.0": "budget"} {
		spec := g.spec(t, version, "faults=keep", "budget=1ms")
		for i := range spec.Manifest.Programs {
			if p := &spec.Manifest.Programs[i]; p.Name == "count_xdp" && version[2] == '1' {
				p.Stack = 2048
			}
		}
		l, err := Load(t.Context(), spec)
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		p, err := ebpf.LoadPinnedProgram(l.Programs[0].Pin, nil)
		if err != nil {
			t.Fatal(err)
		}
		const packets = 5
		began := time.Now()
		g.send(t, 100, packets)                  // softirq
		ret, _, err := p.Test(make([]byte, 100)) // a task
		if err != nil || ret != 2 {
			t.Errorf("%s: verdict %d, %v", version, ret, err)
		}
		g.reaches(t, l, packets+1, packets)
		var s ProgramStatus
		for range 200 {
			all, err := StatusOf("ext")
			if err != nil {
				t.Fatal(err)
			}
			if s = all.Programs[0]; s.Faults[cause] == packets+1 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("%s: faults %v in %v, last %+v", version, s.Faults, time.Since(began), s.Last)
		if s.Faults[cause] != packets+1 || len(s.Faults) != 1 || s.Runs != packets+1 {
			t.Errorf("%s: %d runs, faults %v; want %d of cause %s", version, s.Runs, s.Faults, packets+1, cause)
		}
		p.Close()
		if err := Unload(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		same(t, g.before)
	}
}
