// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

// fleetOf makes members from lines "NAME SYMBOL=value…".
func fleetOf(lines ...string) []Member {
	var out []Member
	for _, l := range lines {
		f := strings.Fields(l)
		p := &manifest.Profile{Schema: 1, Release: f[0], Arch: "amd64", Config: map[string]string{}, ConfigSource: "/boot/config"}
		for _, kv := range f[1:] {
			k, v, _ := strings.Cut(kv, "=")
			p.Config[k] = v
		}
		out = append(out, Member{Name: f[0], Host: On(p.Kernel(nil))})
	}
	return out
}

func fleetGraph(t *testing.T, lines ...string) graphSource {
	g := graphSource{}
	for _, l := range lines {
		g.add(t, l)
	}
	return g
}

func (f *Fleet) text() string {
	var b strings.Builder
	plan := func(p *Plan) string {
		var s []string
		for _, c := range p.Packages {
			s = append(s, c.Name+" "+c.Version)
		}
		return strings.Join(s, ", ")
	}
	for _, m := range f.Members {
		if m.Fail != nil {
			fmt.Fprintf(&b, "%s: %v\n", m.Name, m.Fail)
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", m.Name, plan(m.Plan))
	}
	if f.Common != nil {
		fmt.Fprintf(&b, "all: %s\n", plan(f.Common))
	} else {
		fmt.Fprintf(&b, "%v\n", f.NoCommon)
	}
	for _, x := range f.Blocked {
		fmt.Fprintf(&b, "%s %s for %s\n", x.Name, x.Version, strings.Join(x.For, " "))
		for _, by := range x.By {
			fmt.Fprintf(&b, "  %s %s\n", by.Member, by.Why.Reason)
		}
	}
	for _, g := range f.Split {
		fmt.Fprintf(&b, "%s: %s\n", strings.Join(g.Members, " "), plan(g.Plan))
	}
	return b.String()
}

func TestFleet(t *testing.T) {
	bmc := []string{
		"bmc 1.2.0", "bmc 1.2.1", "bmc 1.3.0: config FEI=y", "bmc 2.0.0: release >=6.99",
	}
	for _, c := range []struct {
		name  string
		graph []string
		fleet []string
		want  string
		says  string
	}{
		{"the newest that all can have, and who blocks", bmc, []string{"6.1.0 FEI=n", "6.12.0 FEI=y", "7.0.0 FEI=y"}, "bmc", `
6.1.0: bmc 1.2.1
6.12.0: bmc 1.3.0
7.0.0: bmc 2.0.0
all: bmc 1.2.1
bmc 2.0.0 for 7.0.0
  6.1.0 needs kernel release >=6.99; this kernel is 6.1.0
  6.12.0 needs kernel release >=6.99; this kernel is 6.12.0
bmc 1.3.0 for 6.12.0
  6.1.0 needs FEI=y; this kernel has it off (/boot/config)
`},
		{"all the same", bmc, []string{"6.1.0", "6.2.0"}, "bmc", `
6.1.0: bmc 1.2.1
6.2.0: bmc 1.2.1
all: bmc 1.2.1
`},
		{"the smallest split", []string{"a 1.0.0: release <6", "a 2.0.0: release >=6", "a 1.5.0: config OLD=y"},
			[]string{"5.1.0 OLD=y", "6.1.0", "5.2.0", "6.2.0 OLD=y"}, "a", `
5.1.0: a 1.5.0
6.1.0: a 2.0.0
5.2.0: a 1.0.0
6.2.0: a 2.0.0
no version of a can be used on all of these kernels (5.1.0, 6.1.0, 5.2.0 and 6.2.0):
  a 2.0.0 needs kernel release >=6; Linux 5.1.0 is 5.1.0
  a 2.0.0 needs kernel release >=6; Linux 5.2.0 is 5.2.0
  a 1.5.0 needs OLD=y; Linux 6.1.0 has it off (/boot/config)
  a 1.5.0 needs OLD=y; Linux 5.2.0 has it off (/boot/config)
  a 1.0.0 needs kernel release <6; Linux 6.1.0 is 6.1.0
  a 1.0.0 needs kernel release <6; Linux 6.2.0 is 6.2.0
5.1.0 5.2.0: a 1.0.0
6.1.0 6.2.0: a 2.0.0
`},
		{"one has none", []string{"a 1.0.0: release <6"}, []string{"5.1.0", "6.1.0"}, "a", `
5.1.0: a 1.0.0
6.1.0: no version of a can be used on this kernel (6.1.0):
  a 1.0.0 needs kernel release <6; this kernel is 6.1.0
no version of a can be used on all of these kernels (5.1.0 and 6.1.0):
  a 1.0.0 needs kernel release <6; Linux 6.1.0 is 6.1.0
5.1.0: a 1.0.0
`},
		{"a dependency blocks", []string{"a 1.0.0", "a 1.1.0: needs lib ^1", "lib 1.0.0: config X=y"}, []string{"6.1.0 X=y", "6.2.0"}, "a", `
6.1.0: lib 1.0.0, a 1.1.0
6.2.0: a 1.0.0
all: a 1.0.0
a 1.1.0 for 6.1.0
  6.2.0 needs lib@^1; lib 1.0.0 needs X=y; this kernel has it off (/boot/config)
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, err := manifest.ParseSpec(c.want)
			if err != nil {
				t.Fatal(err)
			}
			f, err := SolveFleet(context.Background(), fleetGraph(t, c.graph...), fleetOf(c.fleet...), []manifest.Spec{spec})
			if err != nil {
				t.Fatal(err)
			}
			if got := f.text(); got != strings.TrimPrefix(c.says, "\n") {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

// pickHost has the versions that its numbers name.
type pickHost map[int]bool

func (h pickHost) Check(r manifest.Requirements) []manifest.Finding {
	if h[r.ABI] {
		return nil
	}
	return []manifest.Finding{{Requirement: "X", Answer: manifest.No, Found: "this kernel has it not"}}
}

// Of random fleets, every split is as small as any partition, tried one by one,
// and every group's version fits each of it.
func TestSmallestSplit(t *testing.T) {
	for seed := range 300 {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		src := graphSource{"a": nil}
		for v := range 5 {
			src["a"] = append(src["a"], Candidate{Version: fmt.Sprintf("1.%d.0", v), Requires: manifest.Requirements{ABI: v}})
		}
		var members []Member
		hosts := []pickHost{}
		for i := range 2 + r.IntN(4) {
			h := pickHost{r.IntN(5): true, r.IntN(5): true}
			hosts = append(hosts, h)
			members = append(members, Member{Name: fmt.Sprint(i), Host: h})
		}
		// One version for each member such that there are as few as can be.
		best := len(members)
		for set := range 1 << 5 {
			covers, n := true, 0
			for v := range 5 {
				n += set >> v & 1
			}
			for _, h := range hosts {
				any := false
				for v := range h {
					any = any || set>>v&1 == 1
				}
				covers = covers && any
			}
			if covers {
				best = min(best, n)
			}
		}
		f, err := SolveFleet(context.Background(), src, members, []manifest.Spec{{Name: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		got, seen := len(f.Split), 0
		if f.Common != nil {
			got, seen = 1, len(members)
		}
		for _, g := range f.Split {
			var v int
			fmt.Sscanf(g.Plan.Packages[0].Version, "1.%d.0", &v)
			for _, name := range g.Members {
				var i int
				fmt.Sscan(name, &i)
				if !hosts[i][v] {
					t.Errorf("seed %d: %s does not fit %s", seed, g.Plan.Packages[0].Version, name)
				}
				seen++
			}
		}
		if got != best || seen != len(members) {
			t.Errorf("seed %d: %d groups of %d members, %d would do: %v\n%s", seed, got, seen, best, hosts, f.text())
		}
	}
}

// Members of a fleet may have the same version in different variants.
func TestFleetVariants(t *testing.T) {
	src := fleetGraph(t,
		"a 1.0.0",
		"a 1.1.0: variant rt config PREEMPT_RT; variant plain config PREEMPT_RT=n",
		"a 1.2.0: variant rt config PREEMPT_RT; variant numa config NUMA",
		"b 1.0.0: needs a ^1",
		"b 1.1.0: variant x; variant y")
	fleet := fleetOf("one", "two PREEMPT_RT=y", "three PREEMPT_RT=y NUMA=y")
	f, err := SolveFleet(context.Background(), src, fleet, []manifest.Spec{{Name: "a"}, {Name: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `one: a 1.1.0, b 1.1.0
two: a 1.2.0, b 1.1.0
three: a 1.2.0, b 1.1.0
all: a 1.1.0, b 1.1.0
a 1.2.0 for two three
  one (variant 1) needs PREEMPT_RT=y or m; this kernel has it off (/boot/config); also (variant 2) needs NUMA=y or m; this kernel has it off (/boot/config)
`
	if got := f.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	a, b := f.Common.Find("a"), f.Common.Find("b")
	if got := fmt.Sprint(a.Variant, a.Builds); got != "0 [{one 2 1.1.0/plain} {two 1 1.1.0/rt} {three 1 1.1.0/rt}]" {
		t.Errorf("builds of a: %s", got)
	}
	if b.Variant != 1 || b.Digest != "1.1.0/x" || b.Builds != nil {
		t.Errorf("b is %+v", b)
	}
}
