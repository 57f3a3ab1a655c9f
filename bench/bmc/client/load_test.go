// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

func TestLatencies(t *testing.T) {
	var l latencies
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Microsecond)
	}
	for permille, want := range map[uint64]time.Duration{500: 500 * time.Microsecond, 990: 990 * time.Microsecond, 1000: time.Millisecond} {
		if got := l.at(permille); got < want || got > want+want/8 {
			t.Errorf("%d of 1000 took at most %v, want %v and an eighth more at most", permille, got, want)
		}
	}
	l = latencies{}
	l.add(0)
	l.add(1 << 62)
	if got := l.at(500); got > 16 {
		t.Errorf("nothing took %v", got)
	}
}
