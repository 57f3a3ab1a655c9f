// SPDX-License-Identifier: Apache-2.0

package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/iupkg/iupkg/signing"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// How long what is signed holds, unless a Publisher says otherwise.
const (
	longLife  = 365 * 24 * time.Hour // root, targets
	shortLife = 30 * 24 * time.Hour  // snapshot, timestamp
)

// Publisher changes an index: as its owner, or as one to whom the owner has given
// names, in a role of his own. It is safe for concurrent use, and so are several
// on different machines, of one publisher or of many; see [Remote] for why none of
// them loses what another has written.
type Publisher struct {
	Remote Remote
	// Keys has the index key and its root; a root that is nil is made and put there
	// with the first publication, see NewRoot.
	Keys *signing.Keys
	// Root is the first root of the index if it is somebody else's.
	Root []byte
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

func (p *Publisher) Publish(ctx context.Context, entries ...Entry) error {
	return p.change(ctx, func(d *draft) error {
		for _, e := range entries {
			if err := d.mayList(e.Name); err != nil {
				return err
			}
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
	return p.edit(ctx, name, func(pkg *Package) error {
		i := slices.IndexFunc(pkg.Versions, func(v Version) bool { return v.Version == version })
		if i < 0 {
			return fmt.Errorf("%s has no version %s", name, version)
		}
		pkg.Versions[i].Yanked = why
		return nil
	})
}

// Deprecate says of a package why it should no longer be used, and what is in its
// place; "" takes that back.
func (p *Publisher) Deprecate(ctx context.Context, name, why string) error {
	return p.edit(ctx, name, func(pkg *Package) error {
		pkg.Deprecated = why
		return nil
	})
}

// Advise tells of a fault in versions of a package, in the place of what was told
// under that identifier; one that affects nothing takes that back.
func (p *Publisher) Advise(ctx context.Context, name string, a Advisory) error {
	return p.edit(ctx, name, func(pkg *Package) error {
		pkg.Advisories = slices.DeleteFunc(pkg.Advisories, func(o Advisory) bool { return o.ID == a.ID })
		if a.Affects != "" {
			pkg.Advisories = append(pkg.Advisories, a)
			slices.SortFunc(pkg.Advisories, func(a, b Advisory) int { return strings.Compare(a.ID, b.ID) })
		}
		return nil
	})
}

// edit changes what is said of a package.
func (p *Publisher) edit(ctx context.Context, name string, change func(*Package) error) error {
	return p.change(ctx, func(d *draft) error {
		if err := d.mayList(name); err != nil {
			return err
		}
		pkg, err := d.load(ctx, name)
		if err != nil {
			return err
		}
		before, err := encode(pkg)
		if err != nil {
			return err
		}
		if err := change(pkg); err != nil {
			return err
		}
		if err := pkg.validate(); err != nil {
			return err
		}
		after, err := encode(pkg)
		if err == nil && !bytes.Equal(before, after) {
			d.changed[name] = pkg
		}
		return err
	})
}

// Refresh signs the index anew, so that it does not expire, and says until when.
func (p *Publisher) Refresh(ctx context.Context) (time.Time, error) {
	return p.ends(p.ShortLife, shortLife), p.change(ctx, func(d *draft) error {
		if d.state == "" {
			return &RemoteError{Op: "find the index", Err: fs.ErrNotExist}
		}
		d.renew = !d.again
		return nil
	})
}

// Delegate gives a publisher the names that match the patterns: in a role of that
// name, signed by the index key of his root, he lists packages of these names and no
// others. It replaces what he was given before. His key signs snapshot and timestamp
// too, so that he can publish when the owner is asleep; a thief of it can say nothing
// of other names, and no longer anything once he has been taken out.
func (p *Publisher) Delegate(ctx context.Context, publisher string, hisRoot []byte, patterns []string) error {
	key, err := keyOf(hisRoot)
	if err != nil {
		return err
	}
	if err := checkRole(publisher, patterns); err != nil {
		return err
	}
	return p.change(ctx, func(d *draft) error {
		list, err := d.editDelegations()
		if err != nil {
			return err
		}
		id, err := key.ID()
		if err != nil {
			return err
		}
		if slices.Contains(d.root.Signed.Roles[metadata.ROOT].KeyIDs, id) {
			return errors.New("the owner of an index needs no delegation")
		}
		role := metadata.DelegatedRole{Name: publisher, KeyIDs: []string{id}, Threshold: 1, Terminating: true}
		for _, pattern := range patterns {
			role.Paths = append(role.Paths, packagePath(pattern))
		}
		if i := slices.IndexFunc(list.Roles, func(r metadata.DelegatedRole) bool { return r.Name == publisher }); i >= 0 {
			list.Roles[i] = role
		} else {
			list.Roles = append(list.Roles, role)
		}
		list.Keys[id] = key
		return nil
	})
}

// Undelegate takes a publisher's names back, and his key out of all roles.
func (p *Publisher) Undelegate(ctx context.Context, publisher string) error {
	return p.change(ctx, func(d *draft) error {
		list, err := d.editDelegations()
		if err != nil {
			return err
		}
		n := len(list.Roles)
		list.Roles = slices.DeleteFunc(list.Roles, func(r metadata.DelegatedRole) bool { return r.Name == publisher })
		if len(list.Roles) == n {
			if d.again {
				return nil
			}
			return fmt.Errorf("nothing is delegated to %q", publisher)
		}
		return nil
	})
}

// Check says whether packages of these names may be published by these keys.
func (p *Publisher) Check(ctx context.Context, names ...string) error {
	d, err := p.begin(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := d.mayList(name); err != nil {
			return err
		}
	}
	return nil
}

// change makes a new state, again and again until it finds nothing left to do: not
// the change itself, and not what others have published meanwhile.
func (p *Publisher) change(ctx context.Context, edit func(*draft) error) error {
	const attempts = 100
	committed := false
	for attempt := 1; ; attempt++ {
		done, err := p.try(ctx, committed, edit)
		if err != nil && (!errors.Is(err, fs.ErrExist) || attempt == attempts) {
			return err
		}
		if done {
			return nil
		}
		if err == nil {
			committed = true
			continue // look whether it has stayed
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(rand.IntN(20*min(attempt, 10))) * time.Millisecond):
		}
	}
}

// begin reads the current state, and what was published beside it and got lost.
func (p *Publisher) begin(ctx context.Context) (*draft, error) {
	anchor := p.Root
	if anchor == nil {
		if p.Keys.IndexRoot == nil {
			root, err := p.newRoot(1)
			if err != nil {
				return nil, err
			}
			p.Keys.IndexRoot = root
		}
		anchor = p.Keys.IndexRoot
	}
	state, err := p.Remote.Head(ctx)
	if err != nil {
		return nil, &RemoteError{Op: "find the index", Err: err}
	}
	d := &draft{remote: p.Remote, anchor: anchor, state: state, changed: map[string]*Package{}, taken: map[string][]byte{}}
	if state != "" {
		// An index that has expired can still be published to: that is what renews it.
		if d.chain, err = follow(ctx, p.Remote, state, anchor, nil, time.Time{}); err != nil {
			return nil, err
		}
	}
	_, key, err := p.signer()
	if err != nil {
		return nil, err
	}
	return d, d.open(p.Keys.Name, key)
}

func (p *Publisher) try(ctx context.Context, again bool, edit func(*draft) error) (done bool, err error) {
	d, err := p.begin(ctx)
	if err != nil {
		return false, err
	}
	d.again = again
	if err := d.mergeForks(ctx); err != nil {
		return false, err
	}
	if err := edit(d); err != nil {
		return false, err
	}
	if !d.dirty() {
		return true, nil
	}
	files, mark, err := p.write(ctx, d)
	if err != nil {
		return false, err
	}
	if _, err := p.Remote.Commit(ctx, d.state, mark, files); err != nil {
		return false, &RemoteError{Op: "publish the index", Err: err}
	}
	return false, nil
}
