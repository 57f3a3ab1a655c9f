// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// cluster is the write of a value and all reads of it.
type cluster struct {
	value   int
	written bool
	write   operation
	// The first end and the last start of its operations.
	firstEnd, lastStart time.Duration
}

// forward says that the value was the key's at all times between lo and hi; else, only that there is a
// time between them at which its operations may all have happened.
func (c *cluster) forward() bool     { return c.firstEnd < c.lastStart }
func (c *cluster) lo() time.Duration { return min(c.firstEnd, c.lastStart) }
func (c *cluster) hi() time.Duration { return max(c.firstEnd, c.lastStart) }

// linearizable says whether operations on registers, in which every value is
// written once, can have happened one after the other, each at a time between its start and its end:
// exactly if no read ends before its write starts, no two forward zones overlap, and
// no other zone lies in a forward one (Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 26(4), 1997).
func linearizable(ops []operation) error {
	keys := map[int]map[int]*cluster{}
	for _, op := range ops {
		if keys[op.key] == nil {
			keys[op.key] = map[int]*cluster{}
		}
		c := keys[op.key][op.value]
		if c == nil {
			c = &cluster{value: op.value, firstEnd: never}
			keys[op.key][op.value] = c
		}
		c.firstEnd, c.lastStart = min(c.firstEnd, op.end), max(c.lastStart, op.start)
		if op.write {
			c.written, c.write = true, op
		}
	}
	for _, op := range ops {
		c := keys[op.key][op.value]
		if !c.written {
			return fmt.Errorf("key %d: value %d was read and never written", op.key, op.value)
		}
		if op.end < c.write.start {
			return fmt.Errorf("key %d: value %d was read at %v, before it was written at %v", op.key, op.value, op.end, c.write.start)
		}
	}
	for key, clusters := range keys {
		if err := zones(key, clusters); err != nil {
			return err
		}
	}
	return nil
}

func zones(key int, clusters map[int]*cluster) error {
	var forward, backward []*cluster
	for _, c := range clusters {
		if c.forward() {
			forward = append(forward, c)
		} else {
			backward = append(backward, c)
		}
	}
	slices.SortFunc(forward, func(a, b *cluster) int { return cmp.Compare(a.lo(), b.lo()) })
	for i := 1; i < len(forward); i++ {
		if a, b := forward[i-1], forward[i]; b.lo() < a.hi() {
			return fmt.Errorf("key %d: value %d was there until %v and value %d from %v on: one of them was read when it was stale",
				key, a.value, a.hi(), b.value, b.lo())
		}
	}
	for _, c := range backward {
		i, _ := slices.BinarySearchFunc(forward, c.lo(), func(f *cluster, at time.Duration) int { return cmp.Compare(f.lo(), at) })
		// The last forward zone that starts before it; they do not overlap.
		if i > 0 && forward[i-1].lo() < c.lo() && c.hi() < forward[i-1].hi() {
			return fmt.Errorf("key %d: value %d was written between %v and %v, and value %d read before and after it",
				key, c.value, c.lo(), c.hi(), forward[i-1].value)
		}
	}
	return nil
}
