// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// counted is a Remote that adds up what is moved.
type counted struct {
	Remote
	bytes, gets int
}

func (c *counted) Get(ctx context.Context, state, path string, limit int64) ([]byte, error) {
	b, err := c.Remote.Get(ctx, state, path, limit)
	c.bytes += len(b)
	c.gets++
	return b, err
}

// large is an index of a hundred thousand packages.
func large(t testing.TB) (*shelf, *Publisher) {
	t.Helper()
	a, _ := sharedKeys()
	s := newShelf()
	p := &Publisher{Remote: s, Keys: a}
	entries := make([]Entry, 0, 100_000)
	for i := range cap(entries) {
		e := entry(fmt.Sprintf("package-%05d", i), fmt.Sprintf("1.%d.0", i%7))
		e.Description = fmt.Sprintf("Watches traffic of kind %d and counts what the other %d do not", i%977, i%31)
		e.Version.Requires.Config = []string{"BPF_SYSCALL=y", "NET_CLS_ACT"}
		entries = append(entries, e)
	}
	publish(t, p, entries...)
	return s, p
}

// What the issue of the supply chain asks of an index of 100,000 packages: a change of
// one moves at most 64 KiB, a search takes at most 50 ms.
func TestHundredThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	ctx := t.Context()
	s, p := large(t)
	dir := t.TempDir()
	began := time.Now()
	res, err := Sync(ctx, s, dir, p.Keys.IndexRoot)
	if err != nil || res.Packages != 100_000 {
		t.Fatalf("%+v, %v", res, err)
	}
	t.Logf("the first sync fetches %d files in %v", res.Changed, time.Since(began).Round(time.Millisecond))
	publish(t, p, entry("package-04711", "2.0.0"))
	c := &counted{Remote: s}
	began = time.Now()
	if res, err = Sync(ctx, c, dir, p.Keys.IndexRoot); err != nil || res.Changed != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	t.Logf("sync of one changed package: %d bytes in %d files, %v", c.bytes, c.gets, time.Since(began).Round(time.Millisecond))
	if c.bytes > 64<<10 {
		t.Errorf("sync of one changed package moves %d bytes, more than 64 KiB", c.bytes)
	}
	for query, want := range map[string]int{"package-04711": 1, "kind 976": 100, "watches": 99_999, "nothing": 0} {
		var times []time.Duration
		for range 15 {
			began := time.Now()
			x, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			hits, err := x.Search(strings.Fields(query)...)
			if err != nil || len(hits) < want || want == 0 && len(hits) > 0 {
				t.Fatalf("%q finds %d, %v", query, len(hits), err)
			}
			times = append(times, time.Since(began))
		}
		slices.Sort(times)
		t.Logf("open and search %q: median %v", query, times[7].Round(100*time.Microsecond))
	}
	if v := versions(t, dir, "package-04711"); v != "1.0.0 2.0.0" {
		t.Errorf("versions are %s", v)
	}
}
