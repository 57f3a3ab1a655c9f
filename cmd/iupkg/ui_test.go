// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestBar(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        string
	}{
		{0, 100, "[------------------------]   0%"},
		{1, 4, "[######------------------]  25%"},
		{4095, 4096, "[#######################-]  99%"},
		{4096, 4096, "[########################] 100%"},
		{5000, 4096, "[########################] 100%"}, // signatures come on top
		{-1, 1, "[------------------------]   0%"},
	} {
		if got := bar(c.done, c.total); got != c.want {
			t.Errorf("bar(%d, %d) is %q, want %q", c.done, c.total, got, c.want)
		}
	}
}
