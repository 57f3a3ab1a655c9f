// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// Remote is where the files of an index are published. A state is all of them at
// one moment; it never changes. Nothing that a Remote gives is trusted.
type Remote interface {
	// Head is the current state, "" if there is none yet.
	Head(ctx context.Context) (string, error)
	// Get reads a file of a state; one below targets/, which has its hash in its name,
	// may be asked for of any state. One of more than limit bytes is an error, one
	// that is not there is fs.ErrNotExist.
	Get(ctx context.Context, state, path string, limit int64) ([]byte, error)
	// Commit makes the current state from parent, with files changed, and without
	// those of no bytes; before it is current it can be found by its mark. If another
	// state is current it fails with fs.ErrExist. It need not be one step: of two who
	// commit to one parent at once both may succeed and one be overwritten. For that
	// each looks again, at the marks, after it has committed: who was overwritten is
	// merged by the one that came last, or by himself, or after a crash of both by
	// the next who publishes.
	Commit(ctx context.Context, parent, mark string, files map[string][]byte) (string, error)
	// Marks is the marks of states that were ever committed, also of those that were
	// overwritten, that come after a string in the order of bytes.
	Marks(ctx context.Context, after string) ([]string, error)
	// Marked is the state of a mark, or fs.ErrNotExist.
	Marked(ctx context.Context, mark string) (string, error)
}

// Limits of the roles' files, in bytes, and of new roots in one go.
const (
	maxRoot      = 512 << 10
	maxTimestamp = 64 << 10
	maxSnapshot  = 2 << 20
	maxTargets   = 64 << 20
	maxPart      = 8 << 20 // a delegated role
	maxNewRoots  = 256
)

const timestampFile = "timestamp.json"

func versioned(v int64, role string) string { return fmt.Sprintf("%d.%s.json", v, role) }

// roles are the bytes of the four roles' files.
type roles struct {
	root, timestamp, snapshot, targets []byte
	parts                              map[string][]byte // delegated roles, by name
}

// chain is roles that have been verified from a root on.
type chain struct {
	roles
	md *trustedmetadata.TrustedMetadata
	// broken says of delegated roles why they do not hold: that is of concern to
	// those who want their packages, and to nobody else.
	broken map[string]error
}

func (c *chain) files() map[string]*metadata.TargetFiles {
	return c.md.Targets[metadata.TARGETS].Signed.Targets
}

// verify checks roles that are all there, by their own root. At the zero time
// nothing has expired.
func verify(r roles, at time.Time) (*chain, error) {
	md, err := trustedmetadata.New(r.root)
	if err != nil {
		return nil, refuse("root.json", err)
	}
	md.RefTime = at
	if err := updateTimestamp(md, r.timestamp); err != nil {
		return nil, refuse(timestampFile, err)
	}
	if err := updateSnapshot(md, r.snapshot, false); err != nil {
		return nil, refuse("snapshot.json", err)
	}
	if _, err := md.UpdateTargets(r.targets); err != nil {
		return nil, refuse("targets.json", err)
	}
	c := &chain{roles: r, md: md}
	for _, d := range c.delegated() {
		if b := r.parts[d.Name]; b != nil {
			c.addPart(d.Name, b)
		}
	}
	return c, nil
}

// addPart takes in a delegated role's file, whatever it is.
func (c *chain) addPart(role string, b []byte) {
	if c.parts == nil {
		c.parts = map[string][]byte{}
	}
	c.parts[role] = b
	if _, err := c.md.UpdateDelegatedTargets(b, role, metadata.TARGETS); err != nil {
		if c.broken == nil {
			c.broken = map[string]error{}
		}
		c.broken[role] = refuse(role+".json", err)
	}
}

// followParts reads the delegated roles' files that have changed.
func (c *chain) followParts(last *roles, get func(string, int64) ([]byte, error)) error {
	for _, d := range c.delegated() {
		meta := c.md.Snapshot.Signed.Meta[d.Name+".json"]
		if meta == nil || checkRole(d.Name, []string{"*"}) != nil {
			continue // nothing published yet, or no name of a role
		}
		if last != nil && last.parts[d.Name] != nil && meta.VerifyLengthHashes(last.parts[d.Name]) == nil {
			c.addPart(d.Name, last.parts[d.Name])
			continue
		}
		b, err := get(versioned(meta.Version, d.Name), maxPart)
		if err != nil {
			return err
		}
		c.addPart(d.Name, b)
	}
	return nil
}

// follow brings the roles up to date with a state of the remote, beginning with
// root and, if there are any, the roles that were verified last. This is the
// client workflow of the TUF specification, section 5.
func follow(ctx context.Context, remote Remote, state string, root []byte, last *roles, at time.Time) (*chain, error) {
	get := func(file string, limit int64) ([]byte, error) {
		b, err := remote.Get(ctx, state, file, limit)
		if err != nil {
			return nil, &RemoteError{Op: "read " + file, Err: err}
		}
		return b, nil
	}
	c := &chain{roles: roles{root: root}}
	if last != nil {
		c.root = last.root
	}
	var err error
	if c.md, err = trustedmetadata.New(c.root); err != nil {
		return nil, refuse("root.json", err)
	}
	c.md.RefTime = at
	for range maxNewRoots {
		file := versioned(c.md.Root.Signed.Version+1, metadata.ROOT)
		b, err := get(file, maxRoot)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		if _, err := c.md.UpdateRoot(b); err != nil {
			return nil, refuse(file, err)
		}
		c.root = b
	}
	// What was seen last guards against older; that it may have expired, or be
	// signed by a key that the root no longer has, is all right.
	if last != nil && updateTimestamp(c.md, last.timestamp) == nil || c.md.Timestamp != nil {
		c.timestamp = last.timestamp
	}
	b, err := get(timestampFile, maxTimestamp)
	if err != nil {
		return nil, err
	}
	switch err := updateTimestamp(c.md, b); {
	case err == nil:
		c.timestamp = b
	case is[*metadata.ErrEqualVersionNumber](err) && !c.md.Timestamp.Signed.IsExpired(at):
	case is[*metadata.ErrEqualVersionNumber](err):
		return nil, refuse(timestampFile, &metadata.ErrExpiredMetadata{Msg: "it has not been renewed since " + expiry(c.md.Timestamp.Signed.Expires)})
	case is[*metadata.ErrExpiredMetadata](err) && !c.md.Root.Signed.IsExpired(at):
		return nil, refuse(timestampFile, fmt.Errorf("%w on %s", err, expiry(c.md.Timestamp.Signed.Expires)))
	default:
		return nil, refuse(timestampFile, err)
	}
	if last != nil {
		if err := updateSnapshot(c.md, last.snapshot, true); err == nil {
			c.snapshot = last.snapshot
		}
	}
	if c.snapshot == nil {
		file := versioned(c.md.Timestamp.Signed.Meta["snapshot.json"].Version, metadata.SNAPSHOT)
		if c.snapshot, err = get(file, maxSnapshot); err != nil {
			return nil, err
		}
		if err := updateSnapshot(c.md, c.snapshot, false); err != nil {
			return nil, refuse(file, err)
		}
	}
	if last != nil {
		if _, err := c.md.UpdateTargets(last.targets); err == nil {
			c.targets = last.targets
		}
	}
	if c.targets == nil {
		meta := c.md.Snapshot.Signed.Meta["targets.json"]
		if meta == nil {
			return nil, refuse("snapshot.json", errors.New("it does not speak of targets.json"))
		}
		file := versioned(meta.Version, metadata.TARGETS)
		if c.targets, err = get(file, maxTargets); err != nil {
			return nil, err
		}
		if _, err := c.md.UpdateTargets(c.targets); err != nil {
			return nil, refuse(file, err)
		}
	}
	return c, c.followParts(last, get)
}

// updateSnapshot is UpdateSnapshot of bytes that may name files and say nothing of
// them.
func updateSnapshot(md *trustedmetadata.TrustedMetadata, b []byte, trusted bool) error {
	if m, err := metadata.Snapshot().FromBytes(b); err == nil {
		for _, meta := range m.Signed.Meta {
			if meta == nil {
				return errNoMeta
			}
		}
	}
	_, err := md.UpdateSnapshot(b, trusted)
	return err
}

// updateTimestamp is UpdateTimestamp of bytes that may lack what it relies on.
func updateTimestamp(md *trustedmetadata.TrustedMetadata, b []byte) error {
	t, err := metadata.Timestamp().FromBytes(b)
	if err != nil {
		return err
	}
	if t.Signed.Meta["snapshot.json"] == nil {
		return errors.New("it does not speak of snapshot.json")
	}
	_, err = md.UpdateTimestamp(b)
	return err
}

func expiry(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// targetFile is where a target is published.
func targetFile(target string, f *metadata.TargetFiles) (string, error) {
	hash := f.Hashes["sha256"]
	if len(hash) != 32 {
		return "", refuse(target, errors.New("no SHA-256 of it is signed"))
	}
	dir, base := path.Split(target)
	return "targets/" + dir + hex.EncodeToString(hash) + "." + base, nil
}

// getTarget reads a target file and checks it.
func getTarget(ctx context.Context, remote Remote, state, target string, f *metadata.TargetFiles) ([]byte, error) {
	file, err := targetFile(target, f)
	if err != nil {
		return nil, err
	}
	if f.Length < 0 || f.Length > maxTarget(target) {
		return nil, refuse(target, fmt.Errorf("%d bytes, more than %d", f.Length, maxTarget(target)))
	}
	b, err := remote.Get(ctx, state, file, f.Length)
	if err != nil {
		return nil, &RemoteError{Op: "read " + file, Err: err}
	}
	if err := f.VerifyLengthHashes(b); err != nil {
		return nil, refuse(target, err)
	}
	return b, nil
}

// remoteRead reads targets of a state.
func remoteRead(ctx context.Context, remote Remote, state string) read {
	return func(target string, f *metadata.TargetFiles) ([]byte, error) {
		return getTarget(ctx, remote, state, target, f)
	}
}

func maxTarget(target string) int64 {
	if _, ok := nodeID(target); ok {
		return maxNode
	}
	if _, ok := packageName(target); ok {
		return MaxPackage
	}
	return maxBin
}
