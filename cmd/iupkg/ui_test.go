// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain ünïcödé 漢字 👍\n\tmore": "plain ünïcödé 漢字 👍\n\tmore",
		"\x1b]0;title\a\x1b[31mred":  `\x1b]0;title\a\x1b[31mred`,
		"over\rwritten\b":            `over\rwritten\b`,
		"C1 \u009b31m":               `C1 \u009b31m`,
		"\u202edesrever":             `\u202edesrever`,
		"not UTF-8 \xff\x9b":         `not UTF-8 \xff\x9b`,
		"quoted ' and \x7f":          `quoted ' and \x7f`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) is %q, want %q", in, got, want)
		}
		var out bytes.Buffer
		if n, err := (printableWriter{&out}).Write([]byte(in)); n != len(in) || err != nil || out.String() != want {
			t.Errorf("writing %q: %d, %v, %q", in, n, err, out.String())
		}
	}
	var errs bytes.Buffer
	u := newUI(nil, nil, &errs)
	u.colour = true
	u.warn("\x1b[2J%s", "\x1b")
	if want := "iupkg: " + yellow + "warning:\x1b[0m " + `\x1b[2J\x1b` + "\n"; errs.String() != want {
		t.Errorf("a warning is %q, want %q", errs.String(), want)
	}
}

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
