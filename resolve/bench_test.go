// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

// bigSource has n packages of 20 versions; a version needs up to three packages
// of higher numbers, most of them popular ones.
func bigSource(n int) graphSource {
	r := rand.New(rand.NewPCG(1, 2))
	g := graphSource{}
	for i := range n {
		var list []Candidate
		for v := range 20 {
			c := Candidate{Version: fmt.Sprintf("%d.%d.0", 1+v/10, v%10), Dependencies: map[string]string{}}
			for range r.IntN(4) {
				if i+1 < n {
					d := i + 1 + int(float64(n-i-1)*r.Float64()*r.Float64())
					c.Dependencies[fmt.Sprintf("p%d", d)] = []string{"^1", "^2", ">=1.2", "*", ">=1.5"}[r.IntN(5)]
				}
			}
			if r.IntN(10) == 0 {
				c.Requires.ABI = unfit
			}
			list = append(list, c)
		}
		g[fmt.Sprintf("p%d", i)] = list
	}
	return g
}

func BenchmarkSolve(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		src := bigSource(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				plan, err := Solve(context.Background(), src, randomHost{}, []manifest.Spec{{Name: "p0"}, {Name: "p1"}, {Name: "p2"}}, nil)
				if err != nil {
					b.Fatal(err)
				}
				size = len(plan.Packages)
			}
			b.ReportMetric(float64(size), "packages")
		})
	}
}
