// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/iupkg/iupkg/internal/marked"
)

// result is one line of torture.json.
type result struct {
	Name     string  `json:"name"`
	Kernel   string  `json:"kernel"`
	Value    uint64  `json:"value"`
	Unit     string  `json:"unit"`
	Survived uint64  `json:"survived"`
	Leaks    uint64  `json:"leaks"`
	Packets  uint64  `json:"packets,omitempty"`
	Deepest  uint32  `json:"deepest,omitempty"`
	Steps    uint64  `json:"steps,omitempty"`
	P99      float64 `json:"overrun_p99_ms,omitempty"`
	Max      float64 `json:"overrun_max_ms,omitempty"`
	Least    uint64  `json:"least,omitempty"` // of a total: what it must come to
	Wrong    string  `json:"wrong,omitempty"`
}

// parts are property, context and hook.
func (r *result) parts() (property, context, hook string) {
	p := strings.SplitN(strings.TrimPrefix(r.Name, "torture."), ".", 3)
	if len(p) < 3 {
		return r.Name, "", ""
	}
	return p[0], p[1], p[2]
}

// totals are what the runs that survived must come to, over the whole table: all kernels,
// hooks and contexts together. A case itself has less: there are many.
var totals = []struct {
	name  string
	least uint64
	has   func(property string) bool
}{
	{"loops", 1_000, func(p string) bool { return strings.HasPrefix(p, "loop") }},
	{"overflows", 1_000, func(p string) bool { return strings.HasPrefix(p, "overflow") }},
	{"panics", 10_000, is("panic")},
	{"panics-holding-a-lock", 10_000, is("panic-lock")},
	{"panics-holding-a-ring-record", 10_000, is("panic-record")},
	{"panics-holding-an-arena", 10_000, is("panic-arena")},
	{"panics-with-irqs-off", 10_000, is("panic-irqs")},
	{"panics-in-rcu", 10_000, is("panic-rcu")},
	{"panics-holding-all", 10_000, is("panic-all")},
	{"replacements", 10_000, func(p string) bool { return strings.HasPrefix(p, "replace") }},
	{"mutants", 1_000_000, is("mutants")},
}

func is(name string) func(string) bool { return func(p string) bool { return p == name } }

// sum adds the totals to the results; what falls short has failed. A document wants all of
// them, whatever the scale.
func (t *torture) sum() {
	scale := t.scale
	if t.doc != "" {
		scale = 1
	}
	for _, want := range totals {
		r := result{Name: "torture.total." + want.name, Kernel: strings.Join(t.kernels(), ", "), Unit: "runs", Least: max(1, uint64(float64(want.least)*scale))}
		for i := range t.results {
			c := &t.results[i]
			if property, _, _ := c.parts(); c.Least == 0 && want.has(property) {
				r.Value += c.Value
				r.Survived += c.Survived
				r.Leaks += c.Leaks
			}
		}
		if r.Survived < r.Least {
			r.Wrong = fmt.Sprintf("want %d", r.Least)
		}
		t.keep(r, "")
	}
}

func (t *torture) kernels() []string {
	var out []string
	for _, r := range t.results {
		if r.Kernel != "none" && r.Least == 0 && !slices.Contains(out, r.Kernel) {
			out = append(out, r.Kernel)
		}
	}
	return out
}

func (t *torture) keep(r result, more string) {
	was := slices.IndexFunc(t.results, func(o result) bool { return o.Name == r.Name && o.Kernel == r.Kernel })
	if was >= 0 {
		t.results[was] = r
	} else {
		t.results = append(t.results, r)
	}
	verdict := "ok"
	if r.Wrong != "" {
		verdict = "FAILED: " + r.Wrong
	}
	if more != "" {
		more = "  " + more
	}
	say("%-44s %7d runs %7d survived %d leaks%s  %s", r.Name, r.Value, r.Survived, r.Leaks, more, verdict)
}

type report struct {
	Schema  int      `json:"schema"`
	Project string   `json:"project"`
	Kernel  string   `json:"kernel"`
	Results []result `json:"results"`
}

// earlier takes over the cases of earlier runs; what is done again takes their place.
func (t *torture) earlier() error {
	b, err := os.ReadFile(t.out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var was report
	if err := json.Unmarshal(b, &was); err != nil {
		return fmt.Errorf("%s: %w", t.out, err)
	}
	for _, r := range was.Results {
		if r.Least == 0 {
			t.results = append(t.results, r)
		}
	}
	return nil
}

func (t *torture) write() error {
	project, _ := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output()
	b, err := json.MarshalIndent(report{1, strings.TrimSpace(string(project)), strings.Join(t.kernels(), ", "), t.results}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(t.out, append(b, '\n'), 0o644)
}

// document writes the tables between the markers of a document.
func (t *torture) document(path string) error {
	var b bytes.Buffer
	for _, k := range t.kernels() {
		t.table(&b, k)
	}
	b.WriteString("\n## Totals\n\n| total | runs that survived | at least | leaks |\n| --- | ---: | ---: | ---: |\n")
	for _, r := range t.results {
		if strings.HasPrefix(r.Name, "torture.total.") {
			fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", strings.TrimPrefix(r.Name, "torture.total."), r.Survived, r.Least, r.Leaks)
		}
	}
	b.WriteString("\n")
	return marked.Write(path, "torture", b.Bytes())
}

// table has a line for each hook and context, a column for each property; then the other cases.
func (t *torture) table(b *bytes.Buffer, kernel string) {
	var columns, rows []string
	cells := map[[2]string]string{}
	var others []result
	for _, r := range t.results {
		property, context, hook := r.parts()
		if r.Kernel != kernel || r.Least > 0 {
			continue
		}
		if !mode(property) || strings.HasPrefix(context, "nested") {
			others = append(others, r)
			continue
		}
		row := "`" + hook + "` | " + context
		if !slices.Contains(columns, property) {
			columns = append(columns, property)
		}
		if !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
		cells[[2]string{row, property}] = fmt.Sprint(r.Survived)
		if r.Wrong != "" {
			cells[[2]string{row, property}] = "**failed**"
		}
	}
	fmt.Fprintf(b, "\n## %s\n\n| hook | context | %s |\n| --- | --- |%s\n", kernel, strings.Join(columns, " | "), strings.Repeat(" ---: |", len(columns)))
	for _, row := range rows {
		line := make([]string, len(columns))
		for i, c := range columns {
			line[i] = cells[[2]string{row, c}]
		}
		fmt.Fprintf(b, "| %s | %s |\n", row, strings.Join(line, " | "))
	}
	b.WriteString("\n| case | runs | survived | leaks | |\n| --- | ---: | ---: | ---: | --- |\n")
	for _, r := range others {
		note := ""
		switch {
		case r.Wrong != "":
			note = "**failed**"
		case r.Packets > 0:
			note = fmt.Sprintf("%d packets, none lost", r.Packets)
		case r.Deepest > 0:
			note = fmt.Sprintf("%d at a time on one CPU", r.Deepest)
		case r.Steps > 0:
			note = fmt.Sprintf("%d steps done", r.Steps)
		}
		fmt.Fprintf(b, "| `%s` | %d | %d | %d | %s |\n", strings.TrimPrefix(r.Name, "torture."), r.Value, r.Survived, r.Leaks, note)
	}
}

// mode tells whether a property is one that programs have at every hook.
func mode(property string) bool {
	kind, _, _ := strings.Cut(property, "-")
	return slices.Contains([]string{"nothing", "panic", "loop", "overflow", "second"}, kind)
}
