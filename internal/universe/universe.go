// SPDX-License-Identifier: Apache-2.0

// Package universe makes large problems for the resolver, the same at every run:
// what the tests, the benchmark and those who compare solvers all solve.
package universe

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"

	"github.com/iupkg/iupkg/manifest"
)

// Versions is how many versions each package has.
const Versions = 20

// Wanted is what is asked for.
var Wanted = []string{"p0", "p1", "p2"}

// Unfit is what a tenth of the versions require beside what all do: Debian's
// 6.12 has it off.
const Unfit = "FUNCTION_ERROR_INJECTION=y"

// Make makes n packages, p0 and on. A version needs up to three packages of
// higher numbers, most of them near, in ranges as people write them; a tenth do
// not fit a kernel without what Unfit names.
func Make(n int) map[string][]manifest.Candidate {
	r := rand.New(rand.NewPCG(1, 2))
	all := make(map[string][]manifest.Candidate, n)
	for i := range n {
		name := fmt.Sprintf("p%d", i)
		list := make([]manifest.Candidate, 0, Versions)
		for v := range Versions {
			c := manifest.Candidate{Version: fmt.Sprintf("%d.%d.0", 1+v/10, v%10), Dependencies: map[string]string{}}
			c.Digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name+c.Version)))
			c.Requires = manifest.Requirements{
				Release: ">=6.1", Config: []string{"BPF_SYSCALL=y", "NET_CLS_ACT"}, Hooks: []manifest.Hook{manifest.HookXDP}, ABI: 1,
			}
			for range r.IntN(4) {
				if i+1 < n {
					d := i + 1 + int(float64(n-i-1)*r.Float64()*r.Float64())
					c.Dependencies[fmt.Sprintf("p%d", d)] = []string{"^1", "^2", ">=1.2", "*", ">=1.5"}[r.IntN(5)]
				}
			}
			if r.IntN(10) == 0 {
				c.Requires.Config = append(c.Requires.Config, Unfit)
			}
			list = append(list, c)
		}
		all[name] = list
	}
	return all
}

// Profile is the kernel that it is to be solved for.
func Profile() *manifest.Profile {
	return &manifest.Profile{
		Schema: manifest.Schema, Release: "6.12.117+deb12-amd64", Arch: "amd64",
		Config:       map[string]string{"BPF_SYSCALL": "y", "NET_CLS_ACT": "y"},
		ConfigSource: "/boot/config-6.12.117+deb12-amd64",
		Hooks:        map[manifest.Hook]manifest.Answer{manifest.HookXDP: manifest.Yes},
	}
}
