// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"fmt"
	"testing"

	"github.com/iupkg/iupkg/internal/universe"
	"github.com/iupkg/iupkg/manifest"
)

// plainSource is a graph in which nobody provides another's name.
type plainSource struct{ graphSource }

func (plainSource) Providers(context.Context, string) ([]string, error) { return nil, nil }

func BenchmarkSolve(b *testing.B) {
	host := On(universe.Profile().Kernel(nil))
	var want []manifest.Spec
	for _, name := range universe.Wanted {
		want = append(want, manifest.Spec{Name: name})
	}
	for _, n := range []int{100, 1000, 10000} {
		src := plainSource{graphSource(universe.Make(n))}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				plan, err := Solve(context.Background(), src, host, want, nil)
				if err != nil {
					b.Fatal(err)
				}
				size = len(plan.Packages)
			}
			b.ReportMetric(float64(size), "packages")
		})
	}
}
