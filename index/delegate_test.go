// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/iupkg/iupkg/signing"
)

// An owner, two publishers with names of their own, and one with none.
type house struct {
	remote                *shelf
	owner, bob, dan, none *Publisher
	root                  []byte
}

func newHouse(t testing.TB, remote Remote) *house {
	t.Helper()
	h := &house{}
	keys := testKeys("owner")
	h.root = keys.IndexRoot
	h.owner = &Publisher{Remote: remote, Keys: keys}
	h.bob = &Publisher{Remote: remote, Keys: testKeys("bob"), Root: h.root}
	h.dan = &Publisher{Remote: remote, Keys: testKeys("dan"), Root: h.root}
	h.none = &Publisher{Remote: remote, Keys: testKeys("none"), Root: h.root}
	publish(t, h.owner, entry("core", "1.0.0"))
	delegate(t, h.owner, h.bob.Keys, "bob-*", "tool")
	delegate(t, h.owner, h.dan.Keys, "dan-*")
	h.remote, _ = remote.(*shelf)
	return h
}

func delegate(t testing.TB, owner *Publisher, keys *signing.Keys, names ...string) {
	t.Helper()
	if err := owner.Delegate(context.Background(), keys.Name, keys.IndexRoot, names); err != nil {
		t.Fatal(err)
	}
}

func (h *house) open(t testing.TB, remote Remote) *Index {
	t.Helper()
	dir := t.TempDir()
	if _, err := Sync(context.Background(), remote, dir, h.root); err != nil {
		t.Fatal(err)
	}
	x, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func names(t testing.TB, x *Index) string {
	t.Helper()
	list, err := x.Names()
	if err != nil {
		t.Fatal(err)
	}
	hits, err := x.Search()
	if err != nil || len(hits) != len(list) {
		t.Errorf("a search finds %d of %d packages, %v", len(hits), len(list), err)
	}
	return strings.Join(list, " ")
}

func TestDelegation(t *testing.T) {
	ctx := context.Background()
	s := newShelf()
	h := newHouse(t, s)
	publish(t, h.bob, entry("bob-net", "1.0.0"), entry("tool", "1.0.0"))
	publish(t, h.dan, entry("dan-net", "1.0.0"))
	publish(t, h.bob, entry("bob-net", "1.1.0"))
	publish(t, h.owner, entry("core", "1.1.0"))
	x := h.open(t, s)
	if got := names(t, x); got != "bob-net core dan-net tool" {
		t.Errorf("names are %s", got)
	}
	if p, err := x.Info("bob-net"); err != nil || len(p.Versions) != 2 {
		t.Errorf("%v, %v", p, err)
	}
	if d := x.Delegations(); len(d) != 2 || d[0].Publisher != "bob" || d[0].Packages != 2 || strings.Join(d[0].Names, " ") != "bob-* tool" {
		t.Errorf("delegations are %+v", d)
	}
	for name, err := range map[string]error{
		"a name of another publisher": h.bob.Publish(ctx, entry("dan-net", "6.6.6")),
		"a name of the owner":         h.bob.Publish(ctx, entry("core", "6.6.6")),
		"a name of nobody":            h.bob.Publish(ctx, entry("nobody", "6.6.6")),
		"check":                       h.bob.Check(ctx, "bob-x", "core"),
		"yanking another's":           h.bob.Yank(ctx, "core", "1.0.0", "because"),
		"delegating":                  h.bob.Delegate(ctx, "none", h.none.Keys.IndexRoot, []string{"*"}),
	} {
		if !refusedFor(err, OutsideNames) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.none.Publish(ctx, entry("none", "1.0.0")); !refusedFor(err, BadSignature) {
		t.Errorf("a stranger: %v", err)
	}
	if err := h.owner.Delegate(ctx, "timestamp", h.none.Keys.IndexRoot, []string{"x"}); err == nil {
		t.Error("a role may be called timestamp")
	}
	if err := h.owner.Delegate(ctx, "none", h.none.Keys.IndexRoot, []string{"../*"}); err == nil {
		t.Error("a pattern may be a path")
	}
	if err := h.bob.Check(ctx, "bob-x", "tool"); err != nil {
		t.Error(err)
	}
	// What was given is taken back: packages, and the key in all roles.
	if err := h.owner.Undelegate(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, h.open(t, s)); got != "core dan-net" {
		t.Errorf("names are %s", got)
	}
	if err := h.bob.Publish(ctx, entry("bob-net", "1.2.0")); !refusedFor(err, BadSignature) {
		t.Errorf("who was taken out: %v", err)
	}
	// And given again, which brings them back.
	delegate(t, h.owner, h.bob.Keys, "bob-*")
	publish(t, h.bob, entry("bob-net", "1.2.0"))
	if got := names(t, h.open(t, s)); got != "bob-net core dan-net" {
		t.Errorf("names are %s", got)
	}
	// The owner's own list comes first.
	publish(t, h.owner, entry("bob-net", "9.0.0"))
	if p, err := h.open(t, s).Info("bob-net"); err != nil || len(p.Versions) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

// What a publisher signs of names that are not his is not looked at, and said so.
func TestDelegationOutsideItsNames(t *testing.T) {
	s := newShelf()
	h := newHouse(t, s)
	publish(t, h.bob, entry("bob-net", "1.0.0"))
	d, err := h.bob.begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	d.changed["dan-evil"] = &Package{Schema: schema, Name: "dan-evil", Versions: []Version{entry("dan-evil", "6.6.6").Version}}
	d.changed["core"] = &Package{Schema: schema, Name: "core", Versions: []Version{entry("core", "6.6.6").Version}}
	files, mark, err := h.bob.write(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(context.Background(), d.state, mark, files); err != nil {
		t.Fatal(err)
	}
	x := h.open(t, s)
	if got := names(t, x); got != "bob-net core" {
		t.Errorf("names are %s", got)
	}
	if _, err := x.Info("dan-evil"); !refusedFor(err, OutsideNames) {
		t.Errorf("got %v", err)
	}
	if p, err := x.Info("core"); err != nil || p.Versions[0].Version != "1.0.0" {
		t.Errorf("%v, %v", p, err)
	}
}

// One publisher whose role does not hold does not take the others' packages away.
func TestBrokenDelegation(t *testing.T) {
	now := time.Now()
	s := newShelf()
	h := newHouse(t, s)
	h.bob.LongLife = time.Hour
	publish(t, h.bob, entry("bob-net", "1.0.0"))
	publish(t, h.dan, entry("dan-net", "1.0.0"))
	dir := t.TempDir()
	if _, err := syncAt(context.Background(), s, dir, h.root, now.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	c, err := follow(context.Background(), s, fmt.Sprint(s.head), h.root, nil, now.Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	get := remoteRead(context.Background(), s, fmt.Sprint(s.head))
	if _, err := c.load("bob-net", get); !refusedFor(err, Expired) {
		t.Errorf("got %v", err)
	}
	if _, err := c.load("dan-net", get); err != nil {
		t.Error(err)
	}
}

// A thief of a publisher's key, which signs snapshot and timestamp too: he can not
// say anything of others' names, and what he does to versions ends with his key.
func TestStolenKey(t *testing.T) {
	ctx := context.Background()
	s := newShelf()
	h := newHouse(t, s)
	publish(t, h.bob, entry("bob-net", "1.0.0"))
	dir := t.TempDir()
	if _, err := Sync(ctx, s, dir, h.root); err != nil {
		t.Fatal(err)
	}
	signer, _, err := h.bob.signer()
	if err != nil {
		t.Fatal(err)
	}
	state := s.current()
	resigned := func(edit func(targets *metadata.Metadata[metadata.TargetsType], snapshot *metadata.Metadata[metadata.SnapshotType], timestamp *metadata.Metadata[metadata.TimestampType])) map[string][]byte {
		c, err := follow(ctx, s, fmt.Sprint(s.head), h.root, nil, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		m := maps.Clone(state)
		targets, snapshot, timestamp := c.md.Targets[metadata.TARGETS], c.md.Snapshot, c.md.Timestamp
		snapshot.Signed.Version++
		timestamp.Signed.Version++
		edit(targets, snapshot, timestamp)
		put := func(b []byte, err error, name string) *metadata.MetaFiles {
			if err != nil {
				t.Fatal(err)
			}
			m[name] = b
			f, err := metaFile(0, b)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		if meta := snapshot.Signed.Meta["targets.json"]; meta != nil && meta.Version < targets.Signed.Version {
			b, err := sign(targets, signer)
			meta = put(b, err, versioned(targets.Signed.Version, metadata.TARGETS))
			meta.Version = targets.Signed.Version
			snapshot.Signed.Meta["targets.json"] = meta
		}
		b, err := sign(snapshot, signer)
		meta := put(b, err, versioned(snapshot.Signed.Version, metadata.SNAPSHOT))
		meta.Version = snapshot.Signed.Version
		timestamp.Signed.Meta["snapshot.json"] = meta
		b, err = sign(timestamp, signer)
		put(b, err, timestampFile)
		return m
	}
	for name, edit := range map[string]func(*metadata.Metadata[metadata.TargetsType], *metadata.Metadata[metadata.SnapshotType], *metadata.Metadata[metadata.TimestampType]){
		"targets of the owner": func(x *metadata.Metadata[metadata.TargetsType], _ *metadata.Metadata[metadata.SnapshotType], _ *metadata.Metadata[metadata.TimestampType]) {
			x.Signed.Version++
		},
		"the owner's targets left out": func(_ *metadata.Metadata[metadata.TargetsType], x *metadata.Metadata[metadata.SnapshotType], _ *metadata.Metadata[metadata.TimestampType]) {
			delete(x.Signed.Meta, "targets.json")
		},
		"his role rolled back": func(_ *metadata.Metadata[metadata.TargetsType], x *metadata.Metadata[metadata.SnapshotType], _ *metadata.Metadata[metadata.TimestampType]) {
			x.Signed.Meta["bob.json"].Version = 0
		},
		"a role that is null": func(_ *metadata.Metadata[metadata.TargetsType], x *metadata.Metadata[metadata.SnapshotType], _ *metadata.Metadata[metadata.TimestampType]) {
			x.Signed.Meta["bob.json"] = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.plant(resigned(edit))
			defer s.plant(state)
			if _, err := Sync(ctx, s, dir, h.root); !is[*Untrusted](err) {
				t.Errorf("got %v", err)
			}
		})
	}
	// A fast-forward holds, and is over when the owner takes the key out.
	s.plant(resigned(func(_ *metadata.Metadata[metadata.TargetsType], snapshot *metadata.Metadata[metadata.SnapshotType], timestamp *metadata.Metadata[metadata.TimestampType]) {
		snapshot.Signed.Version, timestamp.Signed.Version = 1<<62, 1<<62
	}))
	if _, err := Sync(ctx, s, dir, h.root); err != nil {
		t.Fatal(err)
	}
	s.plant(state)
	if _, err := Sync(ctx, s, dir, h.root); !refusedFor(err, Rollback) {
		t.Errorf("got %v", err)
	}
	if err := h.owner.Undelegate(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := Sync(ctx, s, dir, h.root); err != nil {
		t.Errorf("after the key was taken out: %v", err)
	}
}

// racy is a Remote without compare and swap, as registries are: between the look at
// what is current and the change of it anything may happen.
type racy struct {
	*shelf
	wait func()
	// die, if set, says whether the process ends at a point of Commit.
	die func(point string) bool
}

// pooled is a shelf that keeps hashed files as registries do.
func pooled() *shelf {
	s := newShelf()
	s.pool = true
	return s
}

var errKilled = errors.New("killed")

func (r *racy) Commit(ctx context.Context, parent, mark string, files map[string][]byte) (string, error) {
	point := func(name string) error {
		r.wait()
		if r.die != nil && r.die(name) {
			return errKilled
		}
		return nil
	}
	if err := point("before all"); err != nil {
		return "", err
	}
	r.mu.Lock()
	next := map[string][]byte{}
	if parent != "" {
		var n int
		fmt.Sscan(parent, &n)
		maps.Copy(next, r.states[n-1])
	}
	for name, b := range files {
		if len(b) == 0 {
			delete(next, name)
		} else {
			next[name] = b
		}
	}
	r.states = append(r.states, next)
	state := len(r.states)
	r.mu.Unlock()
	if err := point("files are there"); err != nil {
		return "", err
	}
	current := func() error {
		head, _ := r.Head(ctx)
		if head != parent {
			return fmt.Errorf("%s is no longer current: %w", parent, fs.ErrExist)
		}
		return nil
	}
	if err := current(); err != nil {
		return "", err
	}
	r.mu.Lock()
	r.marks[mark] = fmt.Sprint(state)
	r.mu.Unlock()
	if err := point("marked"); err != nil {
		return "", err
	}
	if err := current(); err != nil {
		return "", err
	}
	r.wait()
	r.mu.Lock()
	r.head = state
	r.mu.Unlock()
	return fmt.Sprint(state), point("current")
}

// Many machines of many publishers at once, over a store that cannot compare and
// swap: whatever was published is there in the end.
func TestConcurrentPublishersLoseNothing(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 1
	}
	for round := range rounds {
		rng := rand.New(rand.NewPCG(uint64(round), 1))
		var mu sync.Mutex
		r := &racy{shelf: pooled(), wait: func() {
			mu.Lock()
			d := time.Duration(rng.IntN(4000)) * time.Microsecond
			mu.Unlock()
			time.Sleep(d)
		}}
		h := newHouse(t, r)
		var want []string
		var wg sync.WaitGroup
		for i := range 12 {
			p, name := h.owner, "core"
			switch i % 4 {
			case 1:
				p, name = h.bob, "bob-net"
			case 2:
				p, name = h.dan, "dan-net"
			case 3:
				p, name = h.bob, fmt.Sprintf("bob-%d", i)
			}
			v := fmt.Sprintf("2.%d.0", i)
			want = append(want, name+" "+v)
			wg.Go(func() {
				me := *p // another machine
				if err := me.Publish(context.Background(), entry(name, v)); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		x := h.open(t, r)
		for _, w := range want {
			name, v, _ := strings.Cut(w, " ")
			p, err := x.Info(name)
			if err != nil || !strings.Contains(fmt.Sprint(p.Versions), v) {
				t.Errorf("round %d: %s is lost (%v)", round, w, err)
			}
		}
		t.Logf("round %d: 12 publications in %d states", round, len(r.states))
	}
}

// Whoever publishes may die at any moment: what was there is there, and the next who
// publishes loses nothing of it.
func TestKilledPublisher(t *testing.T) {
	ctx := context.Background()
	for _, at := range []string{"before all", "files are there", "marked", "current"} {
		t.Run(at, func(t *testing.T) {
			r := &racy{shelf: pooled(), wait: func() {}}
			h := newHouse(t, r)
			publish(t, h.bob, entry("bob-net", "1.0.0"))
			before := names(t, h.open(t, r))
			r.die = func(point string) bool { return point == at }
			if err := h.bob.Publish(ctx, entry("bob-new", "1.0.0")); !errors.Is(err, errKilled) {
				t.Fatalf("got %v", err)
			}
			r.die = nil
			after := names(t, h.open(t, r))
			if at != "current" && after != before || at == "current" && after != "bob-net bob-new core" {
				t.Errorf("before %s, after %s", before, after)
			}
			publish(t, h.dan, entry("dan-net", "1.0.0"))
			publish(t, h.bob, entry("bob-new", "1.0.0"))
			if got := names(t, h.open(t, r)); got != "bob-net bob-new core dan-net" {
				t.Errorf("names are %s", got)
			}
		})
	}
	// Overwritten by one who dies before he looks: the next finds it.
	t.Run("overwriter", func(t *testing.T) {
		r := &racy{shelf: pooled(), wait: func() {}}
		h := newHouse(t, r)
		old, _ := r.Head(ctx)
		publish(t, h.bob, entry("bob-net", "1.0.0"))
		d, err := h.dan.begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		// Dan read the index before bob published, and sets his state after it.
		d.state = old
		if d.chain, err = follow(ctx, r, old, h.root, nil, time.Time{}); err != nil {
			t.Fatal(err)
		}
		d.changed["dan-net"] = &Package{Schema: schema, Name: "dan-net", Versions: []Version{entry("dan-net", "1.0.0").Version}}
		files, mark, err := h.dan.write(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		next := maps.Clone(r.states[len(r.states)-2])
		maps.Copy(next, files)
		r.plant(next)
		r.marks[mark] = fmt.Sprint(r.head)
		if got := names(t, h.open(t, r)); got != "core dan-net" {
			t.Errorf("names are %s", got)
		}
		publish(t, h.owner, entry("core", "1.1.0"))
		if got := names(t, h.open(t, r)); got != "bob-net core dan-net" {
			t.Errorf("names are %s", got)
		}
	})
}

func TestAdvisories(t *testing.T) {
	ctx := context.Background()
	s := newShelf()
	a, _ := sharedKeys()
	p := &Publisher{Remote: s, Keys: a}
	publish(t, p, entry("bmc", "1.0.0"), entry("bmc", "1.1.0"))
	for _, x := range []Advisory{
		{ID: "CVE-2026-2", Affects: "<1.1.0", Severity: "high", Summary: "reads beyond a packet"},
		{ID: "CVE-2026-1", Affects: "*", Severity: "low", Summary: "counts twice"},
	} {
		if err := p.Advise(ctx, "bmc", x); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Deprecate(ctx, "bmc", "use bmc2"); err != nil {
		t.Fatal(err)
	}
	load := func() *Package {
		dir := t.TempDir()
		if _, err := Sync(ctx, s, dir, a.IndexRoot); err != nil {
			t.Fatal(err)
		}
		x, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := x.Info("bmc")
		if err != nil {
			t.Fatal(err)
		}
		return pkg
	}
	pkg := load()
	if got := pkg.AdvisoriesOf("1.0.0"); len(got) != 2 || got[0].ID != "CVE-2026-2" || pkg.Deprecated != "use bmc2" {
		t.Errorf("%+v", pkg)
	}
	if got := pkg.AdvisoriesOf("1.1.0"); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	for name, x := range map[string]Advisory{
		"no identifier": {Affects: "*", Severity: "low", Summary: "x"},
		"constraint":    {ID: "X", Affects: "what", Severity: "low", Summary: "x"},
		"severity":      {ID: "X", Affects: "*", Severity: "dire", Summary: "x"},
		"summary":       {ID: "X", Affects: "*", Severity: "low"},
	} {
		if err := p.Advise(ctx, "bmc", x); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := p.Advise(ctx, "bmc", Advisory{ID: "CVE-2026-1"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Deprecate(ctx, "bmc", ""); err != nil {
		t.Fatal(err)
	}
	if pkg := load(); len(pkg.Advisories) != 1 || pkg.Deprecated != "" {
		t.Errorf("%+v", pkg)
	}
}
