// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Explanation is what a build left to be checked at run time, what it proved
// instead, and why.
type Explanation struct {
	Programs  []ProgramExplanation  `json:"programs"`
	Functions []FunctionExplanation `json:"functions"` // by place in the source
	Loops     int                   `json:"loops"`
	Polled    int                   `json:"polled"` // of the loops
	Limit     uint32                `json:"stackLimit"`
}

// ProgramExplanation is about a program as a whole.
type ProgramExplanation struct {
	Name  string   `json:"name"`
	Stack uint32   `json:"stack"` // proven bytes, 0: checked at run time
	Path  []string `json:"path"`  // the calls that need most, from the entry on
}

// FunctionExplanation is about one function of the object.
type FunctionExplanation struct {
	Name       string            `json:"name"`
	At         string            `json:"at"`                   // file:line, empty for what is not the author's
	Frame      uint64            `json:"frame"`                // bytes
	StackCheck string            `json:"stackCheck,omitempty"` // why there is one; empty: none
	EntryPoll  string            `json:"entryPoll,omitempty"`
	Loops      []LoopExplanation `json:"loops,omitempty"`
}

// LoopExplanation is about one loop.
type LoopExplanation struct {
	At     string `json:"at"`
	Polled bool   `json:"polled"`
	Why    string `json:"why"`
}

// Explain reads the report of a build.
func Explain(reportPath string) (*Explanation, error) {
	b, err := os.ReadFile(reportPath)
	if err != nil {
		return nil, err
	}
	r, err := parseReport(b)
	if err != nil {
		return nil, err
	}
	var more struct {
		Stack struct {
			Frames   map[string]uint64 `json:"frames"`
			Programs map[string]uint32 `json:"programs"`
			Limit    uint32            `json:"limit"`
		} `json:"stack"`
	}
	if err := json.Unmarshal(b, &more); err != nil {
		return nil, err
	}
	e := &Explanation{Limit: more.Stack.Limit}
	funcs := map[string]*reportFunction{}
	for i := range r.Functions {
		f := &r.Functions[i]
		funcs[f.Symbol] = f
		x := FunctionExplanation{Name: f.Name, Frame: more.Stack.Frames[f.Symbol], Loops: f.Loops}
		if f.File != "" {
			x.At = fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		if f.StackCheck {
			x.StackCheck = "a caller checks, and this calls on"
			switch {
			case f.Recursive:
				x.StackCheck = "it may be on the stack more than once"
			case f.Indirect:
				x.StackCheck = "it calls a function pointer, which may be any whose address is taken"
			}
		}
		if f.EntryPoll {
			x.EntryPoll = "it does much before the next poll"
			if f.Recursive {
				x.EntryPoll = "it may call itself for ever"
			}
		}
		for _, l := range f.Loops {
			e.Loops++
			if l.Polled {
				e.Polled++
			}
		}
		e.Functions = append(e.Functions, x)
	}
	slices.SortStableFunc(e.Functions, func(a, b FunctionExplanation) int { return strings.Compare(a.At, b.At) })
	for _, p := range r.Programs {
		e.Programs = append(e.Programs, ProgramExplanation{p.Name, more.Stack.Programs[p.Name], deepest(p.Entry, funcs, more.Stack.Frames)})
	}
	return e, nil
}

// deepest is the way of calls from a function on that takes most stack, up to the
// first check or repetition.
func deepest(entry string, funcs map[string]*reportFunction, frames map[string]uint64) []string {
	done := map[string]uint64{}
	next := map[string]string{}
	active := map[string]bool{}
	var depth func(s string) uint64
	depth = func(s string) uint64 {
		f := funcs[s]
		if d, ok := done[s]; ok || f == nil || active[s] {
			return d
		}
		active[s] = true
		var most uint64
		if !f.StackCheck {
			for _, c := range f.Calls {
				if d := depth(c); d > most {
					most, next[s] = d, c
				}
			}
		}
		active[s] = false
		done[s] = frames[s] + callCost + most
		return done[s]
	}
	depth(entry)
	var path []string
	for s := entry; s != "" && len(path) < len(funcs)+1; s = next[s] {
		path = append(path, fmt.Sprintf("%s (%d)", funcs[s].Name, frames[s]))
	}
	return path
}
