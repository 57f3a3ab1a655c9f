// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"strings"
	"testing"
)

// Graphs are written "caller: callee callee", with a frame of 100 bytes each
// unless "=n" follows the name; ! marks a stack check, * an indirect call, & a
// taken address.
func graph(t *testing.T, text string) (*passReport, map[string]uint64) {
	t.Helper()
	r, frames := &passReport{Schema: 1}, map[string]uint64{}
	for line := range strings.Lines(text) {
		head, calls, _ := strings.Cut(strings.TrimSpace(line), ":")
		name := strings.TrimRight(head, "!*&0123456789=")
		f := reportFunction{Symbol: name, Name: name, Calls: strings.Fields(calls),
			StackCheck: strings.Contains(head, "!"), Indirect: strings.Contains(head, "*"), AddressTaken: strings.Contains(head, "&")}
		frames[name] = 100
		if _, n, ok := strings.Cut(head, "="); ok {
			frames[name] = 0
			for _, d := range strings.TrimRight(n, "!*&") {
				frames[name] = frames[name]*10 + uint64(d-'0')
			}
		}
		r.Functions = append(r.Functions, f)
	}
	r.Programs = append(r.Programs, struct {
		Name  string `json:"name"`
		Entry string `json:"entry"`
	}{"p", "e"})
	return r, frames
}

func TestStackBounds(t *testing.T) {
	for name, c := range map[string]struct {
		graph   string
		want    uint32
		wantErr string
	}{
		"leaf":          {"e=0:", 8, ""},
		"chain":         {"e: a\na: b\nb=50:", 108 + 108 + 58, ""},
		"deepest":       {"e: a b\na:\nb=300:", 108 + 308, ""},
		"shared":        {"e: a b\na: c\nb=200: c\nc:", 108 + 208 + 108, ""},
		"indirect":      {"e*:\nx&=500:\ny=900:", 108 + 508, ""},
		"checked":       {"e: a\na!: a", 0, ""},
		"largest":       {"e=4096: a\na=4096: b\nb=4096: c\nc=4096: d\nd=4056:", 20480, ""},
		"too deep":      {"e=4096: a\na=4096: b\nb=4096: c\nc=4096: d\nd=4057:", 0, "needs 20481 bytes of stack"},
		"late check":    {"e=4096: a\na=4096: b\nb=4096: c\nc=4096: d\nd=4096!: d", 0, "needs 20520 bytes of stack"},
		"frame":         {"e: a\na=4097:", 0, "a has a stack frame of 4097 bytes"},
		"cycle":         {"e: a\na: b\nb: a", 0, "recursive and does not check"},
		"unknown":       {"e: gone", 0, "no function gone"},
		"indirect loop": {"e: x\nx&*:", 0, "recursive and does not check"},
	} {
		r, frames := graph(t, c.graph)
		got, err := stackBounds(r, frames)
		if c.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("%s: %v, want %q", name, err, c.wantErr)
			}
			continue
		}
		if err != nil || got["p"] != c.want {
			t.Errorf("%s: %v, %v, want %d", name, got, err, c.want)
		}
	}
	r, _ := graph(t, "e:")
	if _, err := stackBounds(r, nil); err == nil {
		t.Error("a frame of unknown size was accepted")
	}
}
