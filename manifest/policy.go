// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Policy is what the machine that runs a program grants it. It is set beside the
// parameters, under names that no parameter can have or under which the package
// has none: "budget" and "faults" for all programs, "PROGRAM/budget" and
// "PROGRAM/faults" for one.
type Policy struct {
	// Budget is the longest that one run may take: 1µs to 1s; 0 is the
	// runtime's default.
	Budget time.Duration
	// MaxFaults is how many faults it may have; 0: any number. Without Window
	// the program is then disabled until it is loaded anew; with one, when so many came
	// in so long, it is paused for the rest of it. A run over its budget counts once for
	// each 10µs of that in a window, since that is what it costs.
	MaxFaults uint32
	Window    time.Duration // 1ms to 1h
}

const (
	minBudget, maxBudget = time.Microsecond, time.Second
	minWindow, maxWindow = time.Millisecond, time.Hour
	maxFaults            = 1<<31 - 1
)

const (
	policyBudget = "budget"
	policyFaults = "faults"
)

// defaultPolicy: what a program of a hook gets that says nothing. Whoever sends
// packets may know one that makes a program panic: that must not switch it off. A program
// that looks on is off at its first fault, since nothing depends on it.
func (h Hook) defaultPolicy() Policy {
	if hookSpecs[h].remote {
		return Policy{MaxFaults: 10_000, Window: time.Second}
	}
	return Policy{MaxFaults: 1}
}

// Policies returns the policy of every program: what the user set, else what the
// package says, else the hook's default.
func (m *Manifest) Policies(set map[string]string) (map[string]Policy, error) {
	out := make(map[string]Policy, len(m.Programs))
	for i := range m.Programs {
		p := &m.Programs[i]
		q := p.Hook.defaultPolicy()
		if p.MaxFaults > 0 {
			q = Policy{MaxFaults: p.MaxFaults}
		}
		out[p.Name] = q
	}
	// Those of one program come after those of all.
	keys := slices.SortedFunc(maps.Keys(set), func(a, b string) int {
		return strings.Count(a, "/") - strings.Count(b, "/")
	})
	for _, key := range keys {
		program, what, ok := m.policyKey(key)
		if !ok {
			continue
		}
		if _, known := out[program]; program != "" && !known {
			return nil, fmt.Errorf("%s has no program %q", m.Name, program)
		}
		for name, q := range out {
			if program != "" && program != name {
				continue
			}
			if err := q.set(what, set[key]); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", m.Name, key, err)
			}
			out[name] = q
		}
	}
	return out, nil
}

// policyKey takes the name of a setting apart; not ok if it is no policy's.
func (m *Manifest) policyKey(key string) (program, what string, ok bool) {
	program, what, ok = strings.Cut(key, "/")
	if !ok {
		program, what = "", key
	}
	if what != policyBudget && what != policyFaults || ok && program == "" {
		return "", "", false
	}
	isParam := slices.ContainsFunc(m.Params, func(q Param) bool { return q.Name == key })
	return program, what, !isParam
}

func (q *Policy) set(what, value string) error {
	if what == policyBudget {
		d, err := time.ParseDuration(value)
		if err != nil || d < minBudget || d > maxBudget {
			return fmt.Errorf("%q is not a time of %v to %v, such as 5ms", value, minBudget, maxBudget)
		}
		q.Budget = d
		return nil
	}
	if value == "keep" {
		q.MaxFaults, q.Window = 0, 0
		return nil
	}
	number, window, windowed := strings.Cut(value, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	var d time.Duration
	if err == nil && windowed {
		if d, err = time.ParseDuration(window); err == nil && (d < minWindow || d > maxWindow) {
			err = strconv.ErrRange
		}
	}
	if err != nil || n == 0 || n > maxFaults {
		return fmt.Errorf("%q is not keep, a number such as 3 (then it is disabled), or one in a time such as 100/1s (then it is paused)", value)
	}
	q.MaxFaults, q.Window = uint32(n), d
	return nil
}
