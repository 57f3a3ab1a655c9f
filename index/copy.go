// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// CopyResult says what Copy did.
type CopyResult struct {
	Version  int64     // of the index
	Packages int       // in it
	Files    int       // written; 0: the destination was up to date
	Expires  time.Time // when the index must have been renewed
}

// Copy makes the index at dst the same as the one at src, verified from root on. The
// whole of it: what its keys have signed they signed as a whole, so that nobody,
// a mirror neither, can hide a package. Files that dst has are not moved again. A
// destination that has a newer version, or the index of another publisher, is
// *Untrusted and stays as it is.
func Copy(ctx context.Context, src, dst Remote, root []byte) (*CopyResult, error) {
	state, err := src.Head(ctx)
	if err == nil && state == "" {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, &RemoteError{Op: "find the index", Err: err}
	}
	c, err := follow(ctx, src, state, root, nil, time.Now())
	if err != nil {
		return nil, err
	}
	head, err := dst.Head(ctx)
	if err != nil {
		return nil, &RemoteError{Op: "find the index of the destination", Err: err}
	}
	res := &CopyResult{Version: c.md.Timestamp.Signed.Version, Expires: earliest(c)}
	files := map[string][]byte{}
	var old *chain
	if head != "" {
		if old, err = follow(ctx, dst, head, root, nil, time.Time{}); err != nil {
			return nil, fmt.Errorf("the destination's index: %w", err)
		}
		if v := old.md.Timestamp.Signed.Version; v > res.Version {
			return nil, &Untrusted{File: timestampFile, Reason: Rollback, Err: fmt.Errorf("the destination has version %d, the source %d", v, res.Version)}
		}
		for role, v := range map[string]int64{metadata.TARGETS: old.md.Targets[metadata.TARGETS].Signed.Version, metadata.SNAPSHOT: old.md.Snapshot.Signed.Version} {
			files[versioned(v, role)] = nil
		}
	}
	for v := int64(1); v <= c.md.Root.Signed.Version; v++ {
		file := versioned(v, metadata.ROOT)
		b, err := src.Get(ctx, state, file, maxRoot)
		if errors.Is(err, fs.ErrNotExist) && v < c.md.Root.Signed.Version {
			continue // older than what machines trust
		}
		if err != nil {
			return nil, &RemoteError{Op: "read " + file, Err: err}
		}
		files[file] = b
	}
	files[timestampFile] = c.timestamp
	files[versioned(c.md.Snapshot.Signed.Version, metadata.SNAPSHOT)] = c.snapshot
	files[versioned(c.md.Targets[metadata.TARGETS].Signed.Version, metadata.TARGETS)] = c.targets
	for role, b := range c.parts {
		files[versioned(c.md.Snapshot.Signed.Meta[role+".json"].Version, role)] = b
	}
	if res.Packages, err = copyTargets(ctx, src, state, c, old, remoteRead(ctx, dst, head), files); err != nil {
		return nil, err
	}
	if old != nil && old.md.Timestamp.Signed.Version == res.Version {
		return res, nil
	}
	res.Files = len(files)
	if _, err := dst.Commit(ctx, head, c.mark(), files); err != nil {
		return nil, &RemoteError{Op: "write the index of the destination", Err: err}
	}
	return res, nil
}

// copyTargets adds the target files that old lacks, which it knows by their nodes,
// and counts the packages.
func copyTargets(ctx context.Context, src Remote, state string, c, old *chain, oldRead read, files map[string][]byte) (packages int, err error) {
	get := remoteRead(ctx, src, state)
	add := func(target string, f *metadata.TargetFiles, b []byte) error {
		file, err := targetFile(target, f)
		files[file] = b
		return err
	}
	for _, id := range c.nodes() {
		n, err := c.node(id, func(target string, f *metadata.TargetFiles) ([]byte, error) {
			b, err := get(target, f)
			if err != nil {
				return nil, err
			}
			return b, add(target, f, b)
		})
		if err != nil {
			return 0, err
		}
		there, err := old.node(id, oldRead)
		if err != nil {
			return 0, err
		}
		for _, id := range n.ids() {
			r := n.Bins[id]
			packages += r.Packages
			if o := there.Bins[id]; o != nil && o.SHA256 == r.SHA256 {
				continue
			}
			b, err := get(treePath(id), r.file())
			if err != nil {
				return 0, err
			}
			if _, err := parseBin(b, id); err != nil {
				return 0, refuse(treePath(id), err)
			}
			if err := add(treePath(id), r.file(), b); err != nil {
				return 0, err
			}
		}
	}
	for _, x := range c.delegatedParts() {
		packages++
		target := packagePath(x.name)
		b, err := get(target, x.file)
		if err != nil {
			return 0, err
		}
		if _, err := parsePart(b, x.name); err != nil {
			return 0, refuse(target, err)
		}
		if err := add(target, x.file, b); err != nil {
			return 0, err
		}
	}
	return packages, nil
}
