// SPDX-License-Identifier: Apache-2.0

package index

import (
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	for text, capitals := range map[string]string{
		"":                     "",
		"watches 10 kinds":     "",
		"Watches TCP":          "0 8 9 10",
		"É, and é":             "=É, and é",
		"Capital \u0130 grows": "=Capital \u0130 grows",
		"A \xff":               "=A \xff",
		"ends in Z":            "8",
	} {
		lower, got := fold(text)
		if lower != strings.ToLower(text) || got != capitals {
			t.Errorf("fold(%q) = %q, %q; want capitals %q", text, lower, got, capitals)
		}
		if back := unfold(lower, got); back != text {
			t.Errorf("%q comes back as %q", text, back)
		}
	}
	// A damaged file is found out by its checksum; here it must only do no harm.
	for _, capitals := range []string{"-1 7 x 99999999999999999999", "=", " "} {
		unfold("text", capitals)
	}
}
