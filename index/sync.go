// SPDX-License-Identifier: Apache-2.0

package index

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io/fs"
	"sync"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sync/errgroup"
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
	l := local{dir: dir}
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
	if last == nil { // all of it is new
		l.late = &late{}
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
	keep := map[string]bool{}
	next := &current{Schema: schema, Anchor: anchor, State: state, Synced: now.UTC().Truncate(time.Second)}
	res := &SyncResult{Version: c.md.Timestamp.Signed.Version, Expires: earliest(c)}
	if err := fetchTree(ctx, remote, state, c, l, keep, res); err != nil {
		return nil, err
	}
	if err := l.derive(c, cur, next); err != nil {
		return nil, err
	}
	keep[next.Search], keep[next.Facts] = true, true
	for _, f := range []struct {
		b  []byte
		to *string
	}{{c.root, &next.Root}, {c.timestamp, &next.Timestamp}, {c.snapshot, &next.Snapshot}, {c.targets, &next.Targets}} {
		if *f.to, err = l.put(f.b); err != nil {
			return nil, err
		}
		keep[*f.to] = true
	}
	for role, b := range c.parts {
		if next.Parts == nil {
			next.Parts = map[string]string{}
		}
		if next.Parts[role], err = l.put(b); err != nil {
			return nil, err
		}
		keep[next.Parts[role]] = true
	}
	if err := l.write(next); err != nil {
		return nil, err
	}
	return res, l.clean(keep)
}

// parallel is how many files are fetched at once.
const parallel = 8

// fetchTree brings the nodes and bins that the copy lacks, verified, and adds the
// hashes of all to keep.
func fetchTree(ctx context.Context, remote Remote, state string, c *chain, l local, keep map[string]bool, res *SyncResult) error {
	var mu sync.Mutex // guards res.Changed
	get := func(ctx context.Context, target string, f *metadata.TargetFiles, check func([]byte) error) ([]byte, error) {
		b, err := getTarget(ctx, remote, state, target, f)
		if err != nil {
			return nil, err
		}
		if err := check(b); err != nil {
			return nil, refuse(target, err)
		}
		if _, err := l.put(b); err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		res.Changed++
		return b, nil
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	err := func() error {
		for _, id := range c.nodes() {
			n, err := c.node(id, func(target string, f *metadata.TargetFiles) ([]byte, error) {
				hash := hex.EncodeToString(f.Hashes["sha256"])
				keep[hash] = true
				if l.has(hash, f.Length) {
					return l.target(target, f)
				}
				return get(gctx, target, f, func(b []byte) error { _, err := parseNode(b, id); return err })
			})
			if err != nil {
				return err
			}
			for _, id := range n.ids() {
				r := n.Bins[id]
				keep[r.SHA256] = true
				res.Packages += r.Packages
				if l.has(r.SHA256, r.Length) {
					continue
				}
				g.Go(func() error {
					_, err := get(gctx, treePath(id), r.file(), func(b []byte) error { _, err := parseBin(b, id); return err })
					return err
				})
			}
		}
		for _, x := range c.delegatedParts() {
			hash := hex.EncodeToString(x.file.Hashes["sha256"])
			keep[hash] = true
			res.Packages++
			if l.has(hash, x.file.Length) {
				continue
			}
			g.Go(func() error {
				_, err := get(gctx, packagePath(x.name), x.file, func(b []byte) error { _, err := parsePart(b, x.name); return err })
				return err
			})
		}
		return nil
	}()
	// What went wrong first counts, not that the rest was given up for it.
	if e := g.Wait(); e != nil {
		return e
	}
	return err
}

// derive makes the search file and the facts file of the bins, which are all
// there, for next; what the last ones say of bins that have not changed is taken
// over.
func (l local) derive(c *chain, last, next *current) error {
	// One after the other: both at once would be most of what a sync needs of memory.
	if err := l.deriveSearch(c, last, next); err != nil {
		return err
	}
	return l.deriveFacts(c, last, next)
}

// eachBin goes over the bins in their order; what gives a bin itself.
func (l local) eachBin(c *chain, do func(id, hash string, what func() (*bin, error)) error) error {
	for _, id := range c.nodes() {
		n, err := c.node(id, l.target)
		if err != nil {
			return err
		}
		for _, id := range n.ids() {
			if err := do(id, n.Bins[id].SHA256, func() (*bin, error) { return n.bin(id, l.target) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l local) deriveSearch(c *chain, last, next *current) (err error) {
	var lines map[string][]byte
	var out bytes.Buffer
	if last != nil && last.Search != "" {
		if b, err := l.searchFile(last); err == nil {
			lines = searchSections(b)
			out.Grow(len(b) + 64<<10)
		}
	}
	err = l.eachBin(c, func(id, hash string, what func() (*bin, error)) error {
		head := id + " " + hash
		section, found := lines[head]
		if !found {
			x, err := what()
			if err != nil {
				return err
			}
			section = x.searchLines()
		}
		out.WriteString("#" + head + "\n")
		out.Write(section)
		return nil
	})
	if err != nil {
		return err
	}
	for _, x := range c.delegatedParts() {
		if _, err := c.loadOwned(x.name, l.target); !is[*UnknownPackage](err) {
			if err != nil {
				return err
			}
			continue // the owner's counts
		}
		head := x.name + " " + hex.EncodeToString(x.file.Hashes["sha256"])
		section, found := lines[head]
		if !found {
			p, err := readPart(x, l.target)
			if err != nil {
				return err
			}
			section = (&bin{Packages: []*Package{p}}).searchLines()
		}
		out.WriteString("#" + head + "\n")
		out.Write(section)
	}
	next.SearchCRC = crc32.Checksum(out.Bytes(), castagnoli)
	next.Search, err = l.put(out.Bytes())
	return err
}

func (l local) deriveFacts(c *chain, last, next *current) (err error) {
	var known *facts
	var made factsMaker
	if last != nil && last.Facts != "" {
		if known, err = l.openFacts(last); err == nil {
			defer known.f.Close()
			made.grow(known)
		} else {
			known = nil
		}
	}
	err = l.eachBin(c, func(id, hash string, what func() (*bin, error)) error {
		var x *bin
		entries, records, provided := known.bin(id, hash)
		if len(entries) == 0 {
			if x, err = what(); err != nil {
				return err
			}
			entries, records, provided = nil, nil, nil
		}
		made.add(id, hash, entries, records, provided, x)
		return nil
	})
	if err != nil {
		return err
	}
	head, records, crc := made.file()
	next.FactsCRC = crc
	next.Facts, err = l.put(head, records)
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
