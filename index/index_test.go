// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/signing"
)

// shelf is a Remote in memory, whose owner can put anything on it.
type shelf struct {
	mu     sync.Mutex
	states []map[string][]byte // the state "1" is states[0]
	head   int
	marks  map[string]string // mark to state
	pool   bool              // files that have their hash in their names are of all states
	gets   map[string]int
	// before, if set, sees each read and may answer it.
	before func(path string) ([]byte, error, bool)
}

func newShelf() *shelf { return &shelf{gets: map[string]int{}, marks: map[string]string{}} }

func (s *shelf) Head(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head == 0 {
		return "", nil
	}
	return fmt.Sprint(s.head), nil
}

func (s *shelf) Get(_ context.Context, state, path string, limit int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets[path]++
	if s.before != nil {
		if b, err, ok := s.before(path); ok {
			return b, err
		}
	}
	var n int
	fmt.Sscan(state, &n)
	b, ok := s.states[n-1][path]
	if !ok && strings.HasPrefix(path, "targets/") && s.pool {
		for _, files := range s.states {
			if b, ok = files[path]; ok {
				break
			}
		}
	}
	if !ok {
		return nil, fs.ErrNotExist
	}
	if int64(len(b)) > limit {
		return nil, errors.New("larger than the limit")
	}
	return b, nil
}

func (s *shelf) Marks(_ context.Context, after string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for m := range s.marks {
		if m > after {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (s *shelf) Marked(_ context.Context, mark string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state, ok := s.marks[mark]; ok {
		return state, nil
	}
	return "", fs.ErrNotExist
}

func (s *shelf) Commit(_ context.Context, parent, mark string, files map[string][]byte) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if parent != "" && parent != fmt.Sprint(s.head) || parent == "" && s.head != 0 {
		return "", fmt.Errorf("%s is no longer current: %w", parent, fs.ErrExist)
	}
	next := map[string][]byte{}
	if s.head > 0 {
		maps.Copy(next, s.states[s.head-1])
	}
	for name, b := range files {
		if len(b) == 0 {
			delete(next, name)
		} else {
			next[name] = b
		}
	}
	s.states = append(s.states, next)
	s.head = len(s.states)
	s.marks[mark] = fmt.Sprint(s.head)
	return fmt.Sprint(s.head), nil
}

// plant makes an arbitrary state current.
func (s *shelf) plant(files map[string][]byte) {
	s.states = append(s.states, files)
	s.head = len(s.states)
}

func (s *shelf) current() map[string][]byte { return maps.Clone(s.states[s.head-1]) }

// testKeys have an index key only: nothing else is used here, and RSA takes long.
func testKeys(name string) *signing.Keys {
	seed := sha256.Sum256([]byte(name))
	k := &signing.Keys{Name: name, Index: ed25519.NewKeyFromSeed(seed[:])}
	var err error
	if k.IndexRoot, err = NewRoot(k); err != nil {
		panic(err)
	}
	return k
}

var sharedKeys = sync.OnceValues(func() (*signing.Keys, *signing.Keys) { return testKeys("acme"), testKeys("eve") })

func entry(name, version string) Entry {
	return Entry{Name: name, Description: "about " + name, License: "Apache-2.0", Version: Version{
		Version: version, Digest: "sha256:" + hashOf([]byte(name+version)),
		Requires: manifest.Requirements{Release: ">=6.1", Hooks: []manifest.Hook{manifest.HookXDP}, ABI: 1},
	}}
}

func publish(t testing.TB, p *Publisher, entries ...Entry) {
	t.Helper()
	if err := p.Publish(context.Background(), entries...); err != nil {
		t.Fatal(err)
	}
}

func versions(t testing.TB, dir, name string) string {
	t.Helper()
	x, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	vs, err := x.Versions(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range vs {
		out = append(out, v.Version)
	}
	return strings.Join(out, " ")
}

func TestPublishSyncOpen(t *testing.T) {
	ctx := context.Background()
	a, _ := sharedKeys()
	s := newShelf()
	p := &Publisher{Remote: s, Keys: a}
	dir := filepath.Join(t.TempDir(), "index")
	if _, err := Open(dir); !errors.Is(err, ErrNotSynced) {
		t.Errorf("open before any sync: %v", err)
	}
	if _, err := Sync(ctx, s, dir, a.IndexRoot); !errors.Is(err, fs.ErrNotExist) || !is[*RemoteError](err) {
		t.Errorf("sync with no index: %v", err)
	}
	publish(t, p, entry("bmc", "1.2.1"), entry("bmc", "1.10.0"), entry("bmc", "2.0.0-rc.1"))
	publish(t, p, entry("bmc", "1.2.0"))
	publish(t, p, entry("firewall", "0.1.0"))
	res, err := Sync(ctx, s, dir, a.IndexRoot)
	if err != nil {
		t.Fatal(err)
	}
	if res.Version != 3 || res.Packages != 2 || res.Changed != 4 {
		t.Errorf("result is %+v", res)
	}
	if got := versions(t, dir, "bmc"); got != "1.2.0 1.2.1 1.10.0 2.0.0-rc.1" {
		t.Errorf("versions are %s", got)
	}
	x, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Versions("nothere"); !is[*UnknownPackage](err) {
		t.Errorf("an unknown package: %v", err)
	}
	info, err := x.Info("bmc")
	if err != nil || info.Description != "about bmc" || info.Versions[0].Requires.Release != ">=6.1" {
		t.Errorf("info is %+v, %v", info, err)
	}
	for words, want := range map[string]string{
		"bmc": "bmc 1.10.0", "about": "bmc 1.10.0, firewall 0.1.0", "FIRE": "firewall 0.1.0", "about wall": "firewall 0.1.0",
		"xdp": "bmc 1.10.0, firewall 0.1.0", "nothing": "", "": "bmc 1.10.0, firewall 0.1.0",
	} {
		hits, err := x.Search(strings.Fields(words)...)
		var got []string
		for _, h := range hits {
			got = append(got, h.Name+" "+h.Version)
		}
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("search %q: %q, %v; want %q", words, got, err, want)
		}
	}
}

// A second sync asks for what has changed, and nothing else.
func TestSyncFetchesChangesOnly(t *testing.T) {
	ctx := context.Background()
	a, _ := sharedKeys()
	s := newShelf()
	p := &Publisher{Remote: s, Keys: a}
	dir := t.TempDir()
	for i := range 20 {
		publish(t, p, entry(fmt.Sprintf("p%d", i), "1.0.0"))
	}
	if _, err := Sync(ctx, s, dir, a.IndexRoot); err != nil {
		t.Fatal(err)
	}
	clear(s.gets)
	if res, err := Sync(ctx, s, dir, a.IndexRoot); err != nil || res.Changed != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	if len(s.gets) != 2 || s.gets["timestamp.json"] != 1 || s.gets["2.root.json"] != 1 {
		t.Errorf("with nothing new, %v were asked for", s.gets)
	}
	publish(t, p, entry("p7", "1.0.1"))
	clear(s.gets)
	if res, err := Sync(ctx, s, dir, a.IndexRoot); err != nil || res.Changed != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	if len(s.gets) != 6 { // root, timestamp, snapshot, targets, node, bin
		t.Errorf("with one package changed, %v were asked for", s.gets)
	}
}

func TestVersionsNeverChange(t *testing.T) {
	a, _ := sharedKeys()
	s := newShelf()
	p := &Publisher{Remote: s, Keys: a}
	publish(t, p, entry("bmc", "1.0.0"))
	head := s.head
	publish(t, p, entry("bmc", "1.0.0"))
	if s.head != head {
		t.Error("publishing the same again made a new state")
	}
	e := entry("bmc", "1.0.0")
	e.Version.Digest = "sha256:" + hashOf([]byte("evil"))
	if err := p.Publish(context.Background(), e); !is[*VersionExists](err) || s.head != head {
		t.Errorf("another 1.0.0: %v", err)
	}
	for _, bad := range []Entry{entry("../x", "1.0.0"), entry("Bmc", "1.0.0"), entry("bmc", "one"), {Name: "bmc", Version: Version{Version: "3.0.0", Digest: "x"}}} {
		if err := p.Publish(context.Background(), bad); err == nil {
			t.Errorf("published %+v", bad)
		}
	}
}

func TestYank(t *testing.T) {
	ctx := context.Background()
	a, _ := sharedKeys()
	s := newShelf()
	p := &Publisher{Remote: s, Keys: a}
	dir := t.TempDir()
	publish(t, p, entry("bmc", "1.0.0"), entry("bmc", "1.1.0"))
	if err := p.Yank(ctx, "bmc", "1.1.0", "crashes"); err != nil {
		t.Fatal(err)
	}
	if err := p.Yank(ctx, "bmc", "9.0.0", "x"); err == nil {
		t.Error("yanked a version that is not there")
	}
	if _, err := Sync(ctx, s, dir, a.IndexRoot); err != nil {
		t.Fatal(err)
	}
	x, _ := Open(dir)
	if vs, err := x.Versions("bmc"); err != nil || vs[1].Yanked != "crashes" {
		t.Errorf("%+v, %v", vs, err)
	}
	if hits, _ := x.Search("bmc"); hits[0].Version != "1.0.0" {
		t.Errorf("search offers %s", hits[0].Version)
	}
}

// Many publishers at once: nothing is lost.
func TestConcurrentPublishers(t *testing.T) {
	a, _ := sharedKeys()
	s := newShelf()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			p := &Publisher{Remote: s, Keys: a}
			for j := range 3 {
				if err := p.Publish(context.Background(), entry("bmc", fmt.Sprintf("%d.%d.0", i, j))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	dir := t.TempDir()
	if _, err := Sync(context.Background(), s, dir, a.IndexRoot); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(versions(t, dir, "bmc")); len(got) != 12 {
		t.Errorf("of 12 versions there are %v", got)
	}
}

func TestAnotherKeyCannotPublish(t *testing.T) {
	a, b := sharedKeys()
	s := newShelf()
	publish(t, &Publisher{Remote: s, Keys: a}, entry("bmc", "1.0.0"))
	err := (&Publisher{Remote: s, Keys: b}).Publish(context.Background(), entry("bmc", "6.6.6"))
	if !is[*Untrusted](err) {
		t.Errorf("with another root: %v", err)
	}
	thief := *b
	thief.IndexRoot = a.IndexRoot
	err = (&Publisher{Remote: s, Keys: &thief}).Publish(context.Background(), entry("bmc", "6.6.6"))
	if !is[*Untrusted](err) || s.head != 1 {
		t.Errorf("with another key: %v", err)
	}
}

// The root is renewed before it ends, and clients follow.
func TestRootRenewal(t *testing.T) {
	ctx := context.Background()
	k := testKeys("acme")
	s := newShelf()
	now := time.Now()
	p := &Publisher{Remote: s, Keys: k, Now: func() time.Time { return now }}
	publish(t, p, entry("bmc", "1.0.0"))
	dir := t.TempDir()
	if _, err := syncAt(ctx, s, dir, k.IndexRoot, now); err != nil {
		t.Fatal(err)
	}
	now = now.Add(300 * 24 * time.Hour)
	if _, err := syncAt(ctx, s, dir, k.IndexRoot, now); !refusedFor(err, Expired) {
		t.Errorf("an index of 300 days: %v", err)
	}
	if _, err := p.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if s.current()["2.root.json"] == nil {
		t.Error("the root was not renewed")
	}
	now = now.Add(20 * 24 * time.Hour)
	publish(t, p, entry("bmc", "1.1.0"))
	if s.current()["3.root.json"] != nil {
		t.Error("the root was renewed too soon")
	}
	for _, dir := range []string{dir, t.TempDir()} {
		if _, err := syncAt(ctx, s, dir, k.IndexRoot, now); err != nil {
			t.Errorf("after renewal: %v", err)
		}
	}
	if _, err := syncAt(ctx, s, dir, k.IndexRoot, now.Add(365*24*time.Hour)); !refusedFor(err, Expired) {
		t.Errorf("after the root's end: %v", err)
	}
}

func refusedFor(err error, why Reason) bool {
	var u *Untrusted
	return errors.As(err, &u) && u.Reason == why
}

func TestDamagedCopy(t *testing.T) {
	a, _ := sharedKeys()
	s := newShelf()
	publish(t, &Publisher{Remote: s, Keys: a}, entry("bmc", "1.0.0"))
	dir := t.TempDir()
	if _, err := Sync(context.Background(), s, dir, a.IndexRoot); err != nil {
		t.Fatal(err)
	}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "*"))
	if err != nil || len(blobs) != 8 {
		t.Fatalf("%v, %v", blobs, err)
	}
	for _, path := range blobs {
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := append([]byte{}, good...)
		bad[len(bad)/2] ^= 1
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		x, err := Open(dir)
		if err == nil {
			_, err = x.Versions("bmc")
		}
		if err == nil {
			_, err = x.Info("bmc")
		}
		if err == nil {
			_, err = x.Search("bmc")
		}
		if !is[*Untrusted](err) {
			t.Errorf("%s flipped: %v", filepath.Base(path), err)
		}
		if err := os.WriteFile(path, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
