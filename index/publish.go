// SPDX-License-Identifier: Apache-2.0

package index

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/signing"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// How long what is signed holds, unless a Publisher says otherwise.
const (
	longLife  = 365 * 24 * time.Hour // root, targets
	shortLife = 30 * 24 * time.Hour  // snapshot, timestamp
)

// Publisher changes an index. It is safe for concurrent use, and so are several
// on different machines: who comes second begins again on what the first has left.
type Publisher struct {
	Remote Remote
	// Keys has the index key and its root; a root that is nil is made and put there
	// with the first publication, see NewRoot.
	Keys *signing.Keys
	// LongLife is how long root and targets hold, ShortLife snapshot and timestamp.
	// Zero is one year and 30 days.
	LongLife, ShortLife time.Duration
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// Publish adds a version to the index, and makes the index if there is none.
// Publishing the same again changes nothing; the same version with another digest
// is *VersionExists.
func Publish(ctx context.Context, remote Remote, keys *signing.Keys, e Entry) error {
	return (&Publisher{Remote: remote, Keys: keys}).Publish(ctx, e)
}

// NewRoot makes the first root of an index, which keys.IndexRoot then should keep:
// an identity made from the keys carries it to the machines that are to trust it.
func NewRoot(keys *signing.Keys) ([]byte, error) {
	return (&Publisher{Keys: keys}).newRoot(1)
}

func (p *Publisher) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// ends is when something signed now does, in whole seconds as TUF has it.
func (p *Publisher) ends(life, otherwise time.Duration) time.Time {
	if life == 0 {
		life = otherwise
	}
	return p.now().UTC().Add(life).Truncate(time.Second)
}

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

// Publish adds versions to the index, all or none.
func (p *Publisher) Publish(ctx context.Context, entries ...Entry) error {
	return p.change(ctx, func(d *draft) error {
		for _, e := range entries {
			pkg, err := d.load(ctx, e.Name)
			if errors.As(err, new(*UnknownPackage)) {
				pkg, err = &Package{Schema: schema, Name: e.Name}, nil
			}
			if err != nil {
				return err
			}
			changed, err := pkg.add(e)
			if err != nil {
				return err
			}
			if changed {
				d.changed[e.Name] = pkg
			}
		}
		return nil
	})
}

// Yank says of a version why it should no longer be chosen; "" takes that back.
func (p *Publisher) Yank(ctx context.Context, name, version, why string) error {
	return p.change(ctx, func(d *draft) error {
		pkg, err := d.load(ctx, name)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(pkg.Versions, func(v Version) bool { return v.Version == version })
		if i < 0 {
			return fmt.Errorf("%s has no version %s", name, version)
		}
		if pkg.Versions[i].Yanked != why {
			pkg.Versions[i].Yanked = why
			d.changed[name] = pkg
		}
		return nil
	})
}

// Refresh signs the index anew, so that it does not expire, and says until when.
func (p *Publisher) Refresh(ctx context.Context) (time.Time, error) {
	return p.ends(p.ShortLife, shortLife), p.change(ctx, func(d *draft) error {
		if d.state == "" {
			return &RemoteError{Op: "find the index", Err: fs.ErrNotExist}
		}
		d.renew = true
		return nil
	})
}

// A draft is the next state of an index.
type draft struct {
	remote  Remote
	state   string // it is made from, "" if from nothing
	chain   *chain // of that state
	changed map[string]*Package
	renew   bool // even if nothing has changed
}

// load is a package as the draft has it.
func (d *draft) load(ctx context.Context, name string) (*Package, error) {
	if err := manifest.CheckName(name); err != nil {
		return nil, err
	}
	if p := d.changed[name]; p != nil {
		return p, nil
	}
	return d.chain.load(name, d.read(ctx))
}

func (d *draft) read(ctx context.Context) read { return remoteRead(ctx, d.remote, d.state) }

// change makes a new state, again and again while others do so too.
func (p *Publisher) change(ctx context.Context, edit func(*draft) error) error {
	const attempts = 12
	for attempt := 1; ; attempt++ {
		err := p.try(ctx, edit)
		if !errors.Is(err, fs.ErrExist) || attempt == attempts {
			return err
		}
		wait := time.Duration(50+rand.IntN(100*attempt)) * time.Millisecond
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (p *Publisher) try(ctx context.Context, edit func(*draft) error) error {
	if p.Keys.IndexRoot == nil {
		root, err := p.newRoot(1)
		if err != nil {
			return err
		}
		p.Keys.IndexRoot = root
	}
	state, err := p.Remote.Head(ctx)
	if err != nil {
		return &RemoteError{Op: "find the index", Err: err}
	}
	d := &draft{remote: p.Remote, state: state, changed: map[string]*Package{}}
	if state != "" {
		// An index that has expired can still be published to: that is what renews it.
		if d.chain, err = follow(ctx, p.Remote, state, p.Keys.IndexRoot, nil, time.Time{}); err != nil {
			return err
		}
	}
	if err := edit(d); err != nil {
		return err
	}
	if len(d.changed) == 0 && !d.renew {
		return nil
	}
	files, err := p.write(ctx, d)
	if err != nil {
		return err
	}
	if _, err := p.Remote.Commit(ctx, state, files); err != nil {
		return &RemoteError{Op: "publish the index", Err: err}
	}
	return nil
}

// write is the files in which the draft differs from the state it is made from.
func (p *Publisher) write(ctx context.Context, d *draft) (map[string][]byte, error) {
	s, key, err := p.signer()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	long, short := p.ends(p.LongLife, longLife), p.ends(p.ShortLife, shortLife)
	targets, snapshot, timestamp := metadata.Targets(long), metadata.Snapshot(short), metadata.Timestamp(short)
	if d.chain == nil {
		files[versioned(1, metadata.ROOT)] = p.Keys.IndexRoot
	} else {
		md := d.chain.md
		keyID, err := key.ID()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(md.Root.Signed.Roles[metadata.TARGETS].KeyIDs, keyID) {
			return nil, refuse("root.json", fmt.Errorf("the index is not signed by the index key of %s", p.Keys.Name))
		}
		// In the last quarter of its life the root is made anew.
		if left := md.Root.Signed.Expires.Sub(p.now()); left < longLife/4 && left < p.ends(p.LongLife, longLife).Sub(p.now())/4 {
			v := md.Root.Signed.Version + 1
			if files[versioned(v, metadata.ROOT)], err = p.newRoot(v); err != nil {
				return nil, err
			}
		}
		targets = md.Targets[metadata.TARGETS]
		files[versioned(targets.Signed.Version, metadata.TARGETS)] = nil
		files[versioned(md.Snapshot.Signed.Version, metadata.SNAPSHOT)] = nil
		targets.Signed.Version++
		targets.Signed.Expires = long
		snapshot.Signed.Version = md.Snapshot.Signed.Version + 1
		timestamp.Signed.Version = md.Timestamp.Signed.Version + 1
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
	b, err := sign(targets, s)
	if err != nil {
		return nil, err
	}
	files[versioned(targets.Signed.Version, metadata.TARGETS)] = b
	if snapshot.Signed.Meta["targets.json"], err = metaFile(targets.Signed.Version, b); err != nil {
		return nil, err
	}
	if b, err = sign(snapshot, s); err != nil {
		return nil, err
	}
	files[versioned(snapshot.Signed.Version, metadata.SNAPSHOT)] = b
	if timestamp.Signed.Meta["snapshot.json"], err = metaFile(snapshot.Signed.Version, b); err != nil {
		return nil, err
	}
	files[timestampFile], err = sign(timestamp, s)
	return files, err
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
