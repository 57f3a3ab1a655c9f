// SPDX-License-Identifier: Apache-2.0

package index

import (
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Index is a copy of the index on this machine, as it was when it was opened. It
// needs no network, and is safe for concurrent use.
type Index struct {
	l     local
	chain *chain
	cur   *current
	// search reads the search file once.
	search func() ([]byte, error)
	// facts opens the facts file once; one that there is not, as in the copies of
	// older programs, is nil.
	facts func() (*facts, error)
}

// Open reads the copy that Sync made in dir, and verifies it by the root that is
// in it. That it may have expired is left to whoever uses it to judge: see
// Expires. No copy is ErrNotSynced.
func Open(dir string) (*Index, error) {
	l := local{dir: dir}
	cur, r, err := l.read()
	if err != nil {
		return nil, err
	}
	c, err := verify(*r, time.Time{})
	if err != nil {
		return nil, err
	}
	x := &Index{l: l, chain: c, cur: cur}
	x.search = sync.OnceValues(func() ([]byte, error) { return l.searchFile(cur) })
	x.facts = sync.OnceValues(func() (*facts, error) {
		if cur.Facts == "" {
			return nil, nil
		}
		return l.openFacts(cur)
	})
	return x, nil
}

// Synced is when the copy was last found to be up to date.
func (x *Index) Synced() time.Time { return x.cur.Synced }

// Follows says whether the copy was made with this root.json as what trust began with.
func (x *Index) Follows(root []byte) bool {
	anchor, err := anchorOf(root)
	return err == nil && anchor == x.cur.Anchor
}

// Discard removes the copy in dir, with its memory of what was seen. Sync makes it anew.
func Discard(dir string) error { return os.RemoveAll(dir) }

// Expires is when the copy must have been renewed: after that nobody vouches for
// nothing newer being hidden.
func (x *Index) Expires() time.Time { return earliest(x.chain) }

// Version is the index's own version, which every change raises.
func (x *Index) Version() int64 { return x.chain.md.Timestamp.Signed.Version }

// Names is every package's, in order.
func (x *Index) Names() ([]string, error) {
	var names []string
	for _, id := range x.chain.nodes() {
		n, err := x.chain.node(id, x.target)
		if err != nil {
			return nil, err
		}
		for _, id := range n.ids() {
			b, err := n.bin(id, x.target)
			if err != nil {
				return nil, err
			}
			for _, p := range b.Packages {
				names = append(names, p.Name)
			}
		}
	}
	for _, p := range x.chain.delegatedParts() {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Delegation is what an index's owner has given to another publisher.
type Delegation struct {
	Publisher string   `json:"publisher"`
	Names     []string `json:"names"` // patterns
	Packages  int      `json:"packages"`
	Broken    string   `json:"broken,omitempty"` // why what it lists does not hold
}

// Delegations is what the owner has given to others.
func (x *Index) Delegations() []Delegation {
	var out []Delegation
	for _, r := range x.chain.delegated() {
		d := Delegation{Publisher: r.Name}
		for _, p := range r.Paths {
			d.Names = append(d.Names, strings.TrimSuffix(strings.TrimPrefix(p, "packages/"), ".json"))
		}
		d.Packages = len(x.chain.packagesOf(r.Name))
		if err := x.chain.broken[r.Name]; err != nil {
			d.Broken = err.Error()
		}
		out = append(out, d)
	}
	return out
}

// Info is all about one package, or *UnknownPackage.
func (x *Index) Info(name string) (*Package, error) { return x.chain.load(name, x.target) }

// Versions is the versions of a package, ascending, yanked ones too, or
// *UnknownPackage.
func (x *Index) Versions(name string) ([]Version, error) {
	f, err := x.facts()
	if err != nil {
		return nil, err
	}
	if f != nil {
		v, err := f.versions(name)
		if len(x.chain.delegated()) == 0 || !is[*UnknownPackage](err) {
			return v, err
		}
		// The facts are of the owner's bins; others' packages are read as they are.
	}
	p, err := x.Info(name)
	if err != nil {
		return nil, err
	}
	return p.Versions, nil
}

// Providers is the packages of which some version provides the name, in order.
func (x *Index) Providers(name string) ([]string, error) {
	f, err := x.facts()
	if err != nil || f == nil {
		return nil, err
	}
	return f.providers(name), nil
}

// Search finds the packages in whose name, description or hooks every word
// occurs, the best first; no words find all.
func (x *Index) Search(words ...string) ([]Hit, error) {
	hits, _, err := x.Top(-1, words...)
	return hits, err
}

// Top is the first limit of what Search finds, and how many it finds.
func (x *Index) Top(limit int, words ...string) ([]Hit, int, error) {
	file, err := x.search()
	if err != nil {
		return nil, 0, err
	}
	hits, total := search(file, words, limit)
	return hits, total, nil
}

// target reads a target file of the copy.
func (x *Index) target(target string, f *metadata.TargetFiles) ([]byte, error) {
	return x.l.target(target, f)
}

func (l local) target(target string, f *metadata.TargetFiles) ([]byte, error) {
	b, err := l.blob(hex.EncodeToString(f.Hashes["sha256"]))
	if err != nil {
		return nil, fmt.Errorf("index file %s: %w", target, err)
	}
	if err := f.VerifyLengthHashes(b); err != nil {
		return nil, refuse(target, err)
	}
	return b, nil
}
