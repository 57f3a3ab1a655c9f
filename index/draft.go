// SPDX-License-Identifier: Apache-2.0

package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/iupkg/iupkg/manifest"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// A draft is the next state of an index.
type draft struct {
	remote Remote
	anchor []byte // root that trust begins with
	state  string // it is made from, "" if from nothing
	chain  *chain // of that state, nil if from nothing
	again  bool   // the edit has been made before, and is looked for now

	keyID string
	role  string // of the publisher's own, "targets" for the owner
	root  *metadata.Metadata[metadata.RootType]

	changed     map[string]*Package   // in that role
	bins        map[string]*bin       // of the owner's, read so far
	delegations *metadata.Delegations // nil: as they are
	renew       bool                  // even if nothing has changed
	taken       map[string][]byte     // roles of others as forks have them
	roots       map[string][]byte     // newer roots, of forks
	merged      []string              // marks of forks whose content is in
	floor       int64                 // the newest version of a fork
	roleFloor   int64                 // the same of the own role
}

// open finds out what the key may sign.
func (d *draft) open(publisher string, key *metadata.Key) (err error) {
	if d.keyID, err = key.ID(); err != nil {
		return err
	}
	if d.chain == nil {
		d.role = metadata.TARGETS
		d.root, err = metadata.Root().FromBytes(d.anchor)
	} else {
		d.root = d.chain.md.Root
		d.role = d.chain.roleOf(d.keyID)
	}
	if err == nil && (d.role == "" || !slices.Contains(d.root.Signed.Roles[metadata.TIMESTAMP].KeyIDs, d.keyID)) {
		err = &Untrusted{File: "root.json", Reason: BadSignature, Err: fmt.Errorf("neither is it the index of %s nor has its owner given %s any names", publisher, publisher)}
	}
	return err
}

// roleOf is the role of targets that a key may sign, "" if none.
func (c *chain) roleOf(keyID string) string {
	if slices.Contains(c.md.Root.Signed.Roles[metadata.TARGETS].KeyIDs, keyID) {
		return metadata.TARGETS
	}
	for _, r := range c.delegated() {
		if slices.Contains(r.KeyIDs, keyID) {
			return r.Name
		}
	}
	return ""
}

// mayList says whether the publisher may list packages of that name.
func (d *draft) mayList(name string) error {
	if err := manifest.CheckName(name); err != nil {
		return err
	}
	if d.role == metadata.TARGETS {
		return nil
	}
	for _, r := range d.chain.delegated() {
		if ok, err := r.IsDelegatedPath(packagePath(name)); r.Name == d.role && err == nil && ok {
			return nil
		}
	}
	return &Untrusted{File: "targets.json", Reason: OutsideNames, Err: fmt.Errorf("%s may not list %s", d.role, name)}
}

// dirty says whether there is anything to write.
func (d *draft) dirty() bool {
	return len(d.changed) > 0 || d.renew || len(d.taken) > 0 || len(d.roots) > 0 || len(d.merged) > 0 || d.delegationsChanged()
}

func (d *draft) delegationsChanged() bool {
	if d.delegations == nil {
		return false
	}
	if d.chain == nil || d.chain.md.Targets[metadata.TARGETS].Signed.Delegations == nil {
		return len(d.delegations.Roles) > 0
	}
	old := d.chain.md.Targets[metadata.TARGETS].Signed.Delegations
	same := func(a, b metadata.DelegatedRole) bool {
		return a.Name == b.Name && slices.Equal(a.KeyIDs, b.KeyIDs) && slices.Equal(a.Paths, b.Paths)
	}
	return !slices.EqualFunc(old.Roles, d.delegations.Roles, same)
}

// editDelegations is the owner's to change.
func (d *draft) editDelegations() (*metadata.Delegations, error) {
	if d.role != metadata.TARGETS {
		return nil, &Untrusted{File: "targets.json", Reason: OutsideNames, Err: errors.New("only the owner of an index delegates")}
	}
	if d.delegations == nil {
		d.delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{}}
		if d.chain == nil {
			return d.delegations, nil
		}
		if old := d.chain.md.Targets[metadata.TARGETS].Signed.Delegations; old != nil {
			maps.Copy(d.delegations.Keys, old.Keys)
			d.delegations.Roles = slices.Clone(old.Roles)
		}
	}
	return d.delegations, nil
}

// load is a package as the draft has it, of the publisher's own role.
func (d *draft) load(ctx context.Context, name string) (*Package, error) {
	if p := d.changed[name]; p != nil {
		return p, nil
	}
	if d.role != metadata.TARGETS || manifest.CheckName(name) != nil {
		return d.chain.loadFrom(d.role, name, d.read(ctx))
	}
	// Each bin is parsed once, however many of its packages are asked for.
	id := binOf(name)
	x := d.bins[id]
	if x == nil {
		n, err := d.chain.node(nodeOf(id), d.read(ctx))
		if err != nil {
			return nil, err
		}
		if x, err = n.bin(id, d.read(ctx)); err != nil {
			return nil, err
		}
		if d.bins == nil {
			d.bins = map[string]*bin{}
		}
		d.bins[id] = x
	}
	i, found := x.find(name)
	if !found {
		return nil, &UnknownPackage{Name: name}
	}
	return x.Packages[i], nil
}

func (d *draft) read(ctx context.Context) read { return remoteRead(ctx, d.remote, d.state) }

// window is how many versions back forks are looked for, and how many states a
// timestamp says were there before it.
const (
	window     = 64
	historyMax = 192
)

// mergeForks takes in what others, or this publisher on another machine, have
// published beside the current state: each state is marked before it is made current,
// so that one that was overtaken is found by its mark.
func (d *draft) mergeForks(ctx context.Context) error {
	var after string
	known := map[string]bool{}
	if d.chain != nil {
		after = markAfter(d.chain.md.Timestamp.Signed.Version - window)
		known[d.chain.mark()] = true
		for _, m := range d.chain.history() {
			known[m] = true
		}
	}
	marks, err := d.remote.Marks(ctx, after)
	if err != nil {
		return &RemoteError{Op: "look for others' publications", Err: err}
	}
	for _, mark := range marks {
		if known[mark] {
			continue
		}
		fork, state, err := d.marked(ctx, mark)
		if err != nil {
			return err
		}
		if fork == nil {
			continue // not signed, or not all there: of no concern
		}
		if d.chain == nil {
			continue // made current by the one that made it, in a moment
		}
		d.floor = max(d.floor, fork.md.Timestamp.Signed.Version)
		if err := d.merge(ctx, fork, state); err != nil {
			return err
		}
	}
	return nil
}

// marked reads a state by its mark; nil if it is none of this index.
func (d *draft) marked(ctx context.Context, mark string) (*chain, string, error) {
	state, err := d.remote.Marked(ctx, mark)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", &RemoteError{Op: "look for others' publications", Err: err}
	}
	c, err := follow(ctx, d.remote, state, d.anchor, nil, zeroTime)
	switch {
	case err == nil && c.mark() == mark:
		return c, state, nil
	case err != nil && is[*RemoteError](err) && !errors.Is(err, fs.ErrNotExist):
		return nil, "", err
	}
	return nil, "", nil
}

// merge takes in one fork: of the publisher's own role package by package, of others'
// roles as they have signed them if nothing has happened to them since.
func (d *draft) merge(ctx context.Context, fork *chain, state string) error {
	var base *chain
	if h := fork.history(); len(h) > 0 {
		var err error
		if base, _, err = d.marked(ctx, h[0]); err != nil {
			return err
		}
	}
	whole := true
	if v := fork.md.Root.Signed.Version; v > d.root.Signed.Version {
		for n := d.root.Signed.Version + 1; n <= v; n++ {
			file := versioned(n, metadata.ROOT)
			b, err := d.remote.Get(ctx, state, file, maxRoot)
			if err != nil {
				return &RemoteError{Op: "read " + file, Err: err}
			}
			if d.roots == nil {
				d.roots = map[string][]byte{}
			}
			d.roots[file] = b
		}
		d.root = fork.md.Root
	}
	for _, role := range fork.roleNames() {
		theirs, was, ours := fork.roleBytes(role), base.roleBytes(role), d.roleBytes(role)
		switch {
		case bytes.Equal(theirs, ours), bytes.Equal(theirs, was):
		case role == d.role:
			d.roleFloor = max(d.roleFloor, fork.md.Targets[role].Signed.Version)
			if err := d.mergeOwn(ctx, base, fork, state); err != nil {
				return err
			}
		case bytes.Equal(ours, was) && (ours == nil || fork.md.Targets[role].Signed.Version > d.chain.md.Targets[role].Signed.Version):
			if err := d.take(ctx, role, fork, state); err != nil {
				return err
			}
		default:
			whole = false // for its own publisher to merge
		}
	}
	if whole {
		d.merged = append(d.merged, fork.mark())
	}
	return nil
}

func (d *draft) roleBytes(role string) []byte {
	if b := d.taken[role]; b != nil {
		return b
	}
	return d.chain.roleBytes(role)
}

// take puts another's role in as he has signed it.
func (d *draft) take(_ context.Context, role string, fork *chain, _ string) error {
	d.taken[role] = fork.roleBytes(role)
	d.chain.md.Targets[role] = fork.md.Targets[role]
	return nil
}

// mergeOwn takes over what a fork changed in the publisher's own role.
func (d *draft) mergeOwn(ctx context.Context, base, fork *chain, state string) error {
	get := remoteRead(ctx, d.remote, state)
	names, err := fork.changedSince(base, d.role, get)
	if err != nil {
		return err
	}
	for _, name := range names {
		theirs, err := fork.loadFrom(d.role, name, get)
		if err != nil {
			return err
		}
		var was *Package
		if base != nil {
			if was, err = base.loadFrom(d.role, name, get); err != nil && !is[*UnknownPackage](err) {
				return err
			}
		}
		ours, err := d.load(ctx, name)
		if is[*UnknownPackage](err) {
			d.changed[name] = theirs
			continue
		}
		if err != nil {
			return err
		}
		changed, err := ours.merge(was, theirs)
		if err != nil {
			return err
		}
		if changed {
			d.changed[name] = ours
		}
	}
	if d.role != metadata.TARGETS {
		return nil
	}
	return d.mergeDelegations(base, fork)
}

// mergeDelegations takes over roles that the fork has added, changed or removed.
func (d *draft) mergeDelegations(base, fork *chain) error {
	roles := func(c *chain) map[string]metadata.DelegatedRole {
		out := map[string]metadata.DelegatedRole{}
		for _, r := range c.delegated() {
			out[r.Name] = r
		}
		return out
	}
	was, theirs := roles(base), roles(fork)
	list, err := d.editDelegations()
	if err != nil {
		return err
	}
	same := func(a, b metadata.DelegatedRole) bool {
		return slices.Equal(a.KeyIDs, b.KeyIDs) && slices.Equal(a.Paths, b.Paths)
	}
	for _, r := range fork.delegated() {
		if o, ok := was[r.Name]; ok && same(o, r) {
			continue
		}
		list.Roles = append(slices.DeleteFunc(list.Roles, func(o metadata.DelegatedRole) bool { return o.Name == r.Name }), r)
		maps.Copy(list.Keys, fork.md.Targets[metadata.TARGETS].Signed.Delegations.Keys)
	}
	list.Roles = slices.DeleteFunc(list.Roles, func(o metadata.DelegatedRole) bool {
		_, there := theirs[o.Name]
		_, before := was[o.Name]
		return before && !there
	})
	return nil
}

// changedSince is the names of the packages of a role that differ from those of base.
func (c *chain) changedSince(base *chain, role string, get read) ([]string, error) {
	var names []string
	if role != metadata.TARGETS {
		for _, x := range c.packagesOf(role) {
			if base == nil || base.md.Targets[role] == nil || !sameFile(base.md.Targets[role].Signed.Targets[packagePath(x.name)], x.file) {
				names = append(names, x.name)
			}
		}
		return names, nil
	}
	for _, id := range c.nodes() {
		if base != nil && sameFile(base.files()[treePath(id)], c.files()[treePath(id)]) {
			continue
		}
		n, err := c.node(id, get)
		if err != nil {
			return nil, err
		}
		before, err := base.node(id, get)
		if err != nil {
			return nil, err
		}
		for _, id := range n.ids() {
			if o := before.Bins[id]; o != nil && o.SHA256 == n.Bins[id].SHA256 {
				continue
			}
			x, err := n.bin(id, get)
			if err != nil {
				return nil, err
			}
			for _, p := range x.Packages {
				names = append(names, p.Name)
			}
		}
	}
	return names, nil
}

func sameFile(a, b *metadata.TargetFiles) bool {
	return a != nil && b != nil && a.Length == b.Length && bytes.Equal(a.Hashes["sha256"], b.Hashes["sha256"])
}
