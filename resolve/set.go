// SPDX-License-Identifier: Apache-2.0

package resolve

import "math/bits"

// set is a set of small numbers. Those of one package have the same length:
// number 0 is "absent", i+1 its i-th version, newest first. Sets are never
// changed once made.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func fullSet(n int) set {
	s := newSet(n)
	for i := range n {
		s.add(i)
	}
	return s
}

func setOf(n int, members ...int) set {
	s := newSet(n)
	for _, i := range members {
		s.add(i)
	}
	return s
}

// add is for sets under construction.
func (s set) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s set) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

func (s set) subset(o set) bool {
	for i, w := range s {
		if w&^o[i] != 0 {
			return false
		}
	}
	return true
}

func (s set) disjoint(o set) bool {
	for i, w := range s {
		if w&o[i] != 0 {
			return false
		}
	}
	return true
}

func (s set) and(o set) set {
	r := make(set, len(s))
	for i, w := range s {
		r[i] = w & o[i]
	}
	return r
}

func (s set) or(o set) set {
	r := make(set, len(s))
	for i, w := range s {
		r[i] = w | o[i]
	}
	return r
}

func (s set) minus(o set) set {
	r := make(set, len(s))
	for i, w := range s {
		r[i] = w &^ o[i]
	}
	return r
}

func (s set) len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}
