// SPDX-License-Identifier: Apache-2.0

package index

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every lie that a registry can tell about the index is refused, for the right
// reason, and leaves the copy as it was.
func TestAttacks(t *testing.T) {
	ctx := context.Background()
	a, b := sharedKeys()
	now := time.Now()
	s := newShelf()
	p := &Publisher{Remote: s, Keys: a}
	publish(t, p, entry("bmc", "1.0.0"))
	v1 := s.current()
	publish(t, p, entry("bmc", "1.1.0"))
	v2 := s.current()
	publish(t, p, entry("bmc", "1.2.0"))
	v3 := s.current()
	eve := newShelf()
	publish(t, &Publisher{Remote: eve, Keys: b}, entry("bmc", "6.6.6"))
	publish(t, &Publisher{Remote: eve, Keys: b}, entry("bmc", "6.6.7"))
	publish(t, &Publisher{Remote: eve, Keys: b}, entry("bmc", "6.6.8"))
	evil := eve.current()
	// with is v3 with some files of others.
	with := func(files map[string][]byte) map[string][]byte {
		m := maps.Clone(v3)
		maps.Copy(m, files)
		return m
	}
	flip := func(path string) map[string][]byte {
		c := bytes.Clone(v3[path])
		c[len(c)/2] ^= 1
		return with(map[string][]byte{path: c})
	}
	var bmc string
	for name := range v3 {
		if strings.HasSuffix(name, "."+binOf("bmc")+".json") && v2[name] == nil {
			bmc = name
		}
	}
	without := func(path string) map[string][]byte {
		m := maps.Clone(v3)
		delete(m, path)
		return m
	}
	for _, x := range []struct {
		name   string
		state  map[string][]byte
		at     time.Time
		reason Reason // "" for *RemoteError
	}{
		{"rollback by one", v1, now, Rollback},
		{"freeze", v2, now.Add(31 * 24 * time.Hour), Expired},
		{"freeze until the root ends", v2, now.Add(400 * 24 * time.Hour), Expired},
		{"another's index", evil, now, BadSignature},
		{"another's timestamp", with(map[string][]byte{"timestamp.json": evil["timestamp.json"]}), now, BadSignature},
		{"another's snapshot", with(map[string][]byte{"3.snapshot.json": evil["3.snapshot.json"]}), now, Mismatch},
		{"another's targets", with(map[string][]byte{"3.targets.json": evil["3.targets.json"]}), now, Mismatch},
		{"another's root", with(map[string][]byte{"2.root.json": evil["1.root.json"]}), now, BadSignature},
		{"the same root again", with(map[string][]byte{"2.root.json": v3["1.root.json"]}), now, Rollback},
		{"new timestamp, old snapshot", with(map[string][]byte{"3.snapshot.json": v2["2.snapshot.json"]}), now, Mismatch},
		{"new snapshot, old targets", with(map[string][]byte{"3.targets.json": v2["2.targets.json"]}), now, Mismatch},
		{"old timestamp, new rest", with(map[string][]byte{"timestamp.json": v1["timestamp.json"]}), now, Rollback},
		{"timestamp is a snapshot", with(map[string][]byte{"timestamp.json": v3["3.snapshot.json"]}), now, Malformed},
		{"package swapped", with(map[string][]byte{bmc: []byte(`{"schema":1}`)}), now, Mismatch},
		{"package of another length", with(map[string][]byte{bmc: v3[bmc][:10]}), now, Mismatch},
		{"timestamp flipped", flip("timestamp.json"), now, ""},
		{"snapshot flipped", flip("3.snapshot.json"), now, Mismatch},
		{"targets flipped", flip("3.targets.json"), now, Mismatch},
		{"package flipped", flip(bmc), now, Mismatch},
		{"timestamp is empty", with(map[string][]byte{"timestamp.json": nil}), now, Malformed},
		{"timestamp is null", with(map[string][]byte{"timestamp.json": []byte("null")}), now, Malformed},
		{"timestamp without signatures", with(map[string][]byte{"timestamp.json": unsigned(v3["timestamp.json"])}), now, BadSignature},
		{"no timestamp", without("timestamp.json"), now, ""},
		{"no snapshot", without("3.snapshot.json"), now, ""},
		{"no targets", without("3.targets.json"), now, ""},
		{"no package", without(bmc), now, ""},
		{"endless timestamp", with(map[string][]byte{"timestamp.json": bytes.Repeat([]byte("["), maxTimestamp+1)}), now, ""},
		{"deep timestamp", with(map[string][]byte{"timestamp.json": bytes.Repeat([]byte("["), maxTimestamp)}), now, Malformed},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := t.TempDir()
			remote := newShelf()
			remote.plant(v2)
			if _, err := syncAt(ctx, remote, dir, a.IndexRoot, now); err != nil {
				t.Fatal(err)
			}
			before := listing(t, dir)
			remote.plant(x.state)
			_, err := syncAt(ctx, remote, dir, a.IndexRoot, x.at)
			var u *Untrusted
			var r *RemoteError
			switch {
			case err == nil:
				t.Fatal("accepted")
			case strings.HasSuffix(x.name, "timestamp flipped"):
				// A flipped byte breaks the JSON or the signature, by where it falls.
				if !errors.As(err, &u) {
					t.Errorf("got %v", err)
				}
			case x.reason == "" && (!errors.As(err, &r) || errors.As(err, &u)):
				t.Errorf("got %v, want a *RemoteError", err)
			case x.reason != "" && (!errors.As(err, &u) || u.Reason != x.reason):
				t.Errorf("got %v, want it refused as %s", err, x.reason)
			}
			if got := versions(t, dir, "bmc"); got != "1.0.0 1.1.0" {
				t.Errorf("the copy now has %s", got)
			}
			if after := listing(t, dir); after[currentFile] != before[currentFile] {
				t.Error("the copy has changed")
			}
			// And the truth is still accepted.
			remote.plant(v3)
			if x.at != now {
				return
			}
			if _, err := syncAt(ctx, remote, dir, a.IndexRoot, now); err != nil || versions(t, dir, "bmc") != "1.0.0 1.1.0 1.2.0" {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	t.Run("network", func(t *testing.T) {
		remote := newShelf()
		remote.plant(v3)
		gone := errors.New("connection refused")
		remote.before = func(string) ([]byte, error, bool) { return nil, gone, true }
		if _, err := Sync(ctx, remote, t.TempDir(), a.IndexRoot); !is[*RemoteError](err) || !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another root", func(t *testing.T) {
		remote := newShelf()
		remote.plant(v3)
		if _, err := Sync(ctx, remote, t.TempDir(), b.IndexRoot); !refusedFor(err, BadSignature) {
			t.Errorf("got %v", err)
		}
		if _, err := Sync(ctx, remote, t.TempDir(), []byte("{}")); !is[*Untrusted](err) {
			t.Errorf("a root that is none: %v", err)
		}
	})
	// A machine whose trust has been changed on purpose begins anew.
	t.Run("trust changed", func(t *testing.T) {
		dir := t.TempDir()
		remote := newShelf()
		remote.plant(v3)
		if _, err := Sync(ctx, remote, dir, a.IndexRoot); err != nil {
			t.Fatal(err)
		}
		if _, err := Sync(ctx, eve, dir, b.IndexRoot); err != nil || versions(t, dir, "bmc") != "6.6.6 6.6.7 6.6.8" {
			t.Errorf("got %v", err)
		}
	})
}

// unsigned takes the signatures off.
func unsigned(b []byte) []byte {
	var m struct {
		Signed     json.RawMessage `json:"signed"`
		Signatures []string        `json:"signatures"`
	}
	m.Signatures = []string{}
	if err := json.Unmarshal(b, &struct{ Signed *json.RawMessage }{&m.Signed}); err != nil {
		panic(err)
	}
	out, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return out
}

func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[filepath.Base(path)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func FuzzRoles(f *testing.F) {
	// All processes of a fuzzer need the same files.
	a := testKeys("acme")
	a.IndexRoot = nil
	s := newShelf()
	then := time.Unix(1_700_000_000, 0)
	publish(f, &Publisher{Remote: s, Keys: a, Now: func() time.Time { return then }}, entry("bmc", "1.0.0"))
	v := s.current()
	for _, name := range []string{"timestamp.json", "1.snapshot.json", "1.targets.json", "1.root.json"} {
		f.Add(name, v[name])
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		if _, ok := v[name]; !ok {
			return
		}
		remote := newShelf()
		planted := maps.Clone(v)
		planted[name] = b
		if name == "1.root.json" {
			planted["2.root.json"] = b
		}
		remote.plant(planted)
		c, err := follow(context.Background(), remote, "1", a.IndexRoot, nil, time.Time{})
		if err != nil && !is[*Untrusted](err) && !is[*RemoteError](err) {
			t.Errorf("an error of no type: %v", err)
		}
		if err == nil && c.md.Timestamp.Signed.Version != 1 {
			t.Error("a version that was never signed")
		}
	})
}

func FuzzTree(f *testing.F) {
	id := binOf("bmc")
	f.Add([]byte(`{"schema":1,"packages":[{"schema":1,"name":"bmc","versions":[{"version":"1.0.0","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","requires":{"hooks":["xdp"],"abi":1}}]}]}`))
	f.Add([]byte(`{"schema":1,"bins":{"` + id + `":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","length":1,"packages":1}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := parseBin(b, id); err == nil {
			file := append([]byte("#"+id+" x\n"), x.searchLines()...)
			if got, _ := search(file, nil, -1); len(got) != len(x.Packages) {
				t.Errorf("of %d packages a search finds %d", len(x.Packages), len(got))
			}
			if got := searchSections(file); string(got[id+" x"]) != string(x.searchLines()) {
				t.Errorf("sections are %q", got)
			}
		}
		if n, err := parseNode(b, nodeOf(id)); err == nil {
			n.ids()
		}
	})
}
