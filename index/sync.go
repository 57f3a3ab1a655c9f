// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"sort"
	"time"

	"github.com/iupkg/iupkg/manifest"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// SyncResult says what a synchronisation did.
type SyncResult struct {
	Version  int64     // of the index
	Packages int       // in it
	Changed  int       // files fetched, without the roles'
	Expires  time.Time // when the index must have been renewed
}

// Sync brings the copy in dir up to date with the remote, verified from root on,
// the root.json that this machine trusts. A refusal is *Untrusted, a remote that
// does not answer *RemoteError; both leave the copy as it was. What the copy has is
// not fetched again. Several processes may synchronise one folder.
//
// If root is another than the one that the copy was made with, the copy's memory
// of the versions seen is dropped: whoever may change what is trusted may also
// begin anew.
func Sync(ctx context.Context, remote Remote, dir string, root []byte) (*SyncResult, error) {
	return syncAt(ctx, remote, dir, root, time.Now())
}

func syncAt(ctx context.Context, remote Remote, dir string, root []byte, now time.Time) (*SyncResult, error) {
	anchor, err := anchorOf(root)
	if err != nil {
		return nil, refuse("root.json", err)
	}
	l := local{dir}
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	cur, last, err := l.read()
	switch {
	case errors.Is(err, ErrNotSynced):
	case err != nil:
		return nil, err
	case cur.Anchor != anchor:
		last = nil
	}
	state, err := remote.Head(ctx)
	if err == nil && state == "" {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, &RemoteError{Op: "find the index", Err: err}
	}
	c, err := follow(ctx, remote, state, root, last, now)
	if err != nil {
		return nil, err
	}
	next := &current{Schema: schema, Anchor: anchor, State: state, Synced: now.UTC().Truncate(time.Second)}
	res := &SyncResult{Version: c.md.Timestamp.Signed.Version, Expires: earliest(c)}
	keep := map[string]bool{}
	for _, target := range wanted(c.files()) {
		f := c.files()[target]
		hash := hex.EncodeToString(f.Hashes["sha256"])
		keep[hash] = true
		if target != searchPath {
			res.Packages++
		}
		if l.has(hash, f.Length) {
			continue
		}
		b, err := getTarget(ctx, remote, state, target, f)
		if err != nil {
			return nil, err
		}
		if err := checkTarget(target, b); err != nil {
			return nil, refuse(target, err)
		}
		if _, err := l.put(b); err != nil {
			return nil, err
		}
		res.Changed++
	}
	for _, f := range []struct {
		b  []byte
		to *string
	}{{c.root, &next.Root}, {c.timestamp, &next.Timestamp}, {c.snapshot, &next.Snapshot}, {c.targets, &next.Targets}} {
		if *f.to, err = l.put(f.b); err != nil {
			return nil, err
		}
		keep[*f.to] = true
	}
	if err := l.write(next); err != nil {
		return nil, err
	}
	return res, l.clean(keep)
}

// wanted is the targets that this program knows what to do with, in order.
func wanted(files map[string]*metadata.TargetFiles) []string {
	var out []string
	for target := range files { // a signed null is as good as nothing
		name, ok := packageName(target)
		if files[target] != nil && (target == searchPath || ok && manifest.CheckName(name) == nil) {
			out = append(out, target)
		}
	}
	sort.Strings(out)
	return out
}

func checkTarget(target string, b []byte) error {
	if target == searchPath {
		_, err := parseSearch(b)
		return err
	}
	name, _ := packageName(target)
	_, err := parsePackage(b, name)
	return err
}

// earliest is when the first of the roles expires.
func earliest(c *chain) time.Time {
	t := c.md.Root.Signed.Expires
	for _, o := range []time.Time{c.md.Timestamp.Signed.Expires, c.md.Snapshot.Signed.Expires, c.md.Targets[metadata.TARGETS].Signed.Expires} {
		if o.Before(t) {
			t = o
		}
	}
	return t
}
