// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

func (p *Publisher) signer() (signature.Signer, *metadata.Key, error) {
	s, err := signature.LoadSigner(p.Keys.Index, crypto.Hash(0)) // Ed25519 hashes by itself
	if err != nil {
		return nil, nil, err
	}
	key, err := metadata.KeyFromPublicKey(p.Keys.Index.Public())
	return s, key, err
}

func (p *Publisher) newRoot(version int64) ([]byte, error) {
	s, key, err := p.signer()
	if err != nil {
		return nil, err
	}
	root := metadata.Root(p.ends(p.LongLife, longLife))
	root.Signed.Version = version
	for _, role := range []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		if err := root.Signed.AddKey(key, role); err != nil {
			return nil, err
		}
	}
	return sign(root, s)
}

func sign[T metadata.Roles](m *metadata.Metadata[T], s signature.Signer) ([]byte, error) {
	m.ClearSignatures()
	if _, err := m.Sign(s); err != nil {
		return nil, err
	}
	return m.ToBytes(false)
}

// keyOf is the key that signs the targets of an index with that root.
func keyOf(root []byte) (*metadata.Key, error) {
	m, err := metadata.Root().FromBytes(root)
	if err != nil {
		return nil, fmt.Errorf("the publisher's index root: %w", err)
	}
	if err := m.VerifyDelegate(metadata.ROOT, m); err != nil {
		return nil, fmt.Errorf("the publisher's index root: %w", err)
	}
	ids := m.Signed.Roles[metadata.TARGETS].KeyIDs
	if len(ids) == 0 || m.Signed.Keys[ids[0]] == nil {
		return nil, errors.New("the publisher's index root names no key for targets")
	}
	return m.Signed.Keys[ids[0]], nil
}

// nextRoot is the root with the keys of those to whom something is delegated in the
// roles that all publishers sign, nil if it is so already and not about to end.
func (p *Publisher) nextRoot(d *draft, list *metadata.Delegations) (*metadata.Metadata[metadata.RootType], error) {
	root := d.root
	_, own, err := p.signer()
	if err != nil {
		return nil, err
	}
	want := map[string]*metadata.Key{d.keyID: own}
	for _, r := range list.Roles {
		for _, id := range r.KeyIDs {
			if want[id] = list.Keys[id]; want[id] == nil {
				return nil, fmt.Errorf("the key of %s is missing", r.Name)
			}
		}
	}
	ids := slices.Sorted(maps.Keys(want))
	has := slices.Sorted(slices.Values(root.Signed.Roles[metadata.TIMESTAMP].KeyIDs))
	left := root.Signed.Expires.Sub(p.now())
	ends := left < longLife/4 && left < p.ends(p.LongLife, longLife).Sub(p.now())/4 // in the last quarter of its life
	if slices.Equal(ids, has) && !ends {
		return nil, nil
	}
	b, err := root.ToBytes(false)
	if err != nil {
		return nil, err
	}
	next, err := metadata.Root().FromBytes(b)
	if err != nil {
		return nil, err
	}
	next.Signed.Version++
	next.Signed.Expires = p.ends(p.LongLife, longLife)
	for _, role := range []string{metadata.SNAPSHOT, metadata.TIMESTAMP} {
		for _, id := range has {
			if want[id] == nil {
				if err := next.Signed.RevokeKey(id, role); err != nil {
					return nil, err
				}
			}
		}
		for _, id := range ids {
			if err := next.Signed.AddKey(want[id], role); err != nil {
				return nil, err
			}
		}
	}
	return next, nil
}

// write is the files in which the draft differs from the state it is made from, and
// the mark of the new state.
func (p *Publisher) write(ctx context.Context, d *draft) (files map[string][]byte, mark string, err error) {
	s, _, err := p.signer()
	if err != nil {
		return nil, "", err
	}
	files = maps.Clone(d.roots)
	if files == nil {
		files = map[string][]byte{}
	}
	long, short := p.ends(p.LongLife, longLife), p.ends(p.ShortLife, shortLife)
	snapshot, timestamp := metadata.Snapshot(short), metadata.Timestamp(short)
	snapshot.Signed.Meta = map[string]*metadata.MetaFiles{}
	var history []any
	if d.chain == nil {
		files[versioned(1, metadata.ROOT)] = d.anchor
	} else {
		md := d.chain.md
		version := max(md.Timestamp.Signed.Version, md.Snapshot.Signed.Version, d.floor) + 1
		snapshot.Signed.Version, timestamp.Signed.Version = version, version
		files[versioned(md.Snapshot.Signed.Version, metadata.SNAPSHOT)] = nil
		maps.Copy(snapshot.Signed.Meta, md.Snapshot.Signed.Meta)
		history = append(history, d.chain.mark())
		for _, m := range d.merged {
			history = append(history, m)
		}
		for _, m := range d.chain.history() {
			history = append(history, m)
		}
		history = history[:min(len(history), historyMax)]
	}
	timestamp.Signed.UnrecognizedFields = map[string]any{historyField: history}
	replace := func(role string, version int64, b []byte) (err error) {
		if old := snapshot.Signed.Meta[role+".json"]; old != nil {
			files[versioned(old.Version, role)] = nil
		}
		files[versioned(version, role)] = b
		snapshot.Signed.Meta[role+".json"], err = metaFile(version, b)
		return err
	}
	for _, role := range slices.Sorted(maps.Keys(d.taken)) {
		if err := replace(role, d.chain.md.Targets[role].Signed.Version, d.taken[role]); err != nil {
			return nil, "", err
		}
	}
	if d.ownChanges() {
		targets, err := p.ownRole(ctx, d, long, files)
		if err != nil {
			return nil, "", err
		}
		if d.role == metadata.TARGETS {
			if d.delegations != nil {
				targets.Signed.Delegations = d.delegations
			}
			list := targets.Signed.Delegations
			if list == nil {
				list = &metadata.Delegations{}
			}
			root, err := p.nextRoot(d, list)
			if err != nil {
				return nil, "", err
			}
			if root != nil {
				if files[versioned(root.Signed.Version, metadata.ROOT)], err = sign(root, s); err != nil {
					return nil, "", err
				}
			}
		}
		b, err := sign(targets, s)
		if err != nil {
			return nil, "", err
		}
		if err := replace(d.role, targets.Signed.Version, b); err != nil {
			return nil, "", err
		}
	}
	b, err := sign(snapshot, s)
	if err != nil {
		return nil, "", err
	}
	files[versioned(snapshot.Signed.Version, metadata.SNAPSHOT)] = b
	if timestamp.Signed.Meta["snapshot.json"], err = metaFile(snapshot.Signed.Version, b); err != nil {
		return nil, "", err
	}
	if b, err = sign(timestamp, s); err != nil {
		return nil, "", err
	}
	files[timestampFile] = b
	return files, markOf(timestamp.Signed.Version, b), nil
}

// ownChanges says whether the publisher's own role has to be signed anew.
func (d *draft) ownChanges() bool {
	return d.chain == nil || len(d.changed) > 0 || d.renew && d.chain.md.Targets[d.role] != nil || d.delegationsChanged()
}

// ownRole is the publisher's role with what has changed, whose files it adds.
func (p *Publisher) ownRole(ctx context.Context, d *draft, until time.Time, files map[string][]byte) (*metadata.Metadata[metadata.TargetsType], error) {
	targets := metadata.Targets(until)
	if d.chain != nil && d.chain.md.Targets[d.role] != nil {
		targets = d.chain.md.Targets[d.role]
		targets.Signed.Version = max(targets.Signed.Version, d.roleFloor) + 1
		targets.Signed.Expires = until
	} else {
		targets.Signed.Version = d.roleFloor + 1
	}
	put := func(target string, v any) error {
		b, err := encode(v)
		if err != nil {
			return err
		}
		if int64(len(b)) > maxTarget(target) {
			return fmt.Errorf("%s would have %d bytes, more than %d", target, len(b), maxTarget(target))
		}
		f, err := metadata.TargetFile().FromBytes(target, b, "sha256")
		if err != nil {
			return err
		}
		targets.Signed.Targets[target] = f
		file, err := targetFile(target, f)
		files[file] = b
		return err
	}
	if d.role != metadata.TARGETS {
		for name, pkg := range d.changed {
			if err := put(packagePath(name), pkg); err != nil {
				return nil, err
			}
		}
		return targets, nil
	}
	nodes, bins, err := d.tree(ctx)
	if err != nil {
		return nil, err
	}
	for id, x := range bins {
		b, err := encode(x)
		if err != nil {
			return nil, err
		}
		if len(b) > maxBin {
			return nil, fmt.Errorf("%s would have %d bytes, more than %d", treePath(id), len(b), maxBin)
		}
		r := &binRef{SHA256: hashOf(b), Length: int64(len(b)), Packages: len(x.Packages)}
		nodes[nodeOf(id)].Bins[id] = r
		file, err := targetFile(treePath(id), r.file())
		if err != nil {
			return nil, err
		}
		files[file] = b
	}
	for id, n := range nodes {
		if err := put(treePath(id), n); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

func metaFile(version int64, b []byte) (*metadata.MetaFiles, error) {
	f, err := metadata.TargetFile().FromBytes("", b, "sha256")
	if err != nil {
		return nil, err
	}
	return &metadata.MetaFiles{Version: version, Length: f.Length, Hashes: f.Hashes}, nil
}

// tree is the nodes and bins that change, the bins as they will be.
func (d *draft) tree(ctx context.Context) (map[string]*node, map[string]*bin, error) {
	nodes, bins := map[string]*node{}, map[string]*bin{}
	for name, p := range d.changed {
		b, err := encode(p)
		if err != nil {
			return nil, nil, err
		}
		if len(b) > MaxPackage {
			return nil, nil, fmt.Errorf("package %s would have %d bytes, more than %d", name, len(b), MaxPackage)
		}
		id := binOf(name)
		n := nodes[nodeOf(id)]
		if n == nil {
			if n, err = d.chain.node(nodeOf(id), d.read(ctx)); err != nil {
				return nil, nil, err
			}
			nodes[nodeOf(id)] = n
		}
		if bins[id] == nil {
			if bins[id], err = n.bin(id, d.read(ctx)); err != nil {
				return nil, nil, err
			}
		}
		bins[id].put(p)
	}
	return nodes, bins, nil
}
