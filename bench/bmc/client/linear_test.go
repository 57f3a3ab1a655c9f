// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

func w(value int, start, end time.Duration) operation {
	return operation{value: value, write: true, start: start, end: end}
}

func r(value int, start, end time.Duration) operation {
	return operation{value: value, start: start, end: end}
}

// possible tries every order.
func possible(ops []operation) bool {
	var try func(left []operation, current int) bool
	try = func(left []operation, current int) bool {
		if len(left) == 0 {
			return true
		}
		for i, op := range left {
			first := true
			for j, other := range left {
				first = first && (i == j || other.end >= op.start)
			}
			if !first || !op.write && op.value != current {
				continue
			}
			rest := append(append([]operation{}, left[:i]...), left[i+1:]...)
			if try(rest, op.value) {
				return true
			}
		}
		return false
	}
	return try(ops, 0)
}

func TestLinearizable(t *testing.T) {
	for _, c := range []struct {
		name string
		ops  []operation
		ok   bool
	}{
		{"read after write", []operation{w(1, 0, 1), r(1, 2, 3)}, true},
		{"stale read", []operation{w(1, 0, 1), w(2, 2, 3), r(1, 4, 5)}, false},
		{"read during a write", []operation{w(1, 0, 1), w(2, 2, 6), r(1, 3, 4)}, true},
		{"new, then old", []operation{w(1, 0, 1), w(2, 2, 9), r(2, 3, 4), r(1, 5, 6)}, false},
		{"read before the write", []operation{r(1, 0, 1), w(1, 2, 3)}, false},
		{"never written", []operation{r(1, 0, 1)}, false},
		{"no reply", []operation{w(1, 0, 1), w(2, 2, never), r(1, 5, 6), r(2, 7, 8)}, true},
	} {
		if err := linearizable(c.ops); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if possible(c.ops) != c.ok {
			t.Errorf("%s: the oracle says otherwise", c.name)
		}
	}
}

func TestLinearizableAgainstAllOrders(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	yes := 0
	const cases = 20000
	for range cases {
		var ops []operation
		// Distinct times, as a clock's are.
		times := rng.Perm(20)
		for i := range 1 + rng.IntN(6) {
			a, b := times[2*i], times[2*i+1]
			value := i + 1
			write := i == 0 || rng.IntN(2) == 0
			if !write {
				value = 1 + rng.IntN(i)
			}
			ops = append(ops, operation{value: value, write: write, start: time.Duration(min(a, b)), end: time.Duration(max(a, b))})
		}
		want := possible(ops)
		if got := linearizable(ops) == nil; got != want {
			t.Fatalf("%+v: %v, of all orders %v", ops, got, want)
		}
		if want {
			yes++
		}
	}
	if yes < cases/20 || yes > cases*19/20 {
		t.Errorf("%d of %d are linearizable: the cases say little", yes, cases)
	}
}
