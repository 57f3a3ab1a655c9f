// SPDX-License-Identifier: Apache-2.0

package index

import (
	"encoding/hex"
	"fmt"
	"sync"
	"time"
)

// Index is a copy of the index on this machine, as it was when it was opened. It
// needs no network, and is safe for concurrent use.
type Index struct {
	l     local
	chain *chain
	cur   *current
	// search reads search.json once.
	search func() (*searchFile, error)
}

// Open reads the copy that Sync made in dir, and verifies it by the root that is
// in it. That it may have expired is left to whoever uses it to judge: see
// Expires. No copy is ErrNotSynced.
func Open(dir string) (*Index, error) {
	l := local{dir}
	cur, r, err := l.read()
	if err != nil {
		return nil, err
	}
	c, err := verify(*r, time.Time{})
	if err != nil {
		return nil, err
	}
	x := &Index{l: l, chain: c, cur: cur}
	x.search = sync.OnceValues(func() (*searchFile, error) {
		b, err := x.target(searchPath)
		if err != nil {
			return nil, err
		}
		s, err := parseSearch(b)
		if err != nil {
			return nil, refuse(searchPath, err)
		}
		return s, nil
	})
	return x, nil
}

// Synced is when the copy was last found to be up to date.
func (x *Index) Synced() time.Time { return x.cur.Synced }

// Expires is when the copy must have been renewed: after that nobody vouches for
// nothing newer being hidden.
func (x *Index) Expires() time.Time { return earliest(x.chain) }

// Version is the index's own version, which every change raises.
func (x *Index) Version() int64 { return x.chain.md.Timestamp.Signed.Version }

// Names is every package's, in order.
func (x *Index) Names() []string {
	var names []string
	for _, target := range wanted(x.chain.files()) {
		if name, ok := packageName(target); ok {
			names = append(names, name)
		}
	}
	return names
}

// Info is all about one package, or *UnknownPackage.
func (x *Index) Info(name string) (*Package, error) {
	target := packagePath(name)
	if x.chain.files()[target] == nil {
		return nil, &UnknownPackage{Name: name}
	}
	b, err := x.target(target)
	if err != nil {
		return nil, err
	}
	p, err := parsePackage(b, name)
	if err != nil {
		return nil, refuse(target, err)
	}
	return p, nil
}

// Versions is the versions of a package, ascending, yanked ones too, or
// *UnknownPackage.
func (x *Index) Versions(name string) ([]Version, error) {
	p, err := x.Info(name)
	if err != nil {
		return nil, err
	}
	return p.Versions, nil
}

// Search finds the packages in whose name, description or hooks every word
// occurs, the best first; no words find all.
func (x *Index) Search(words ...string) ([]Hit, error) {
	if x.chain.files()[searchPath] == nil {
		return nil, nil
	}
	s, err := x.search()
	if err != nil {
		return nil, err
	}
	return s.search(words), nil
}

// target reads a target file of the copy.
func (x *Index) target(target string) ([]byte, error) {
	f := x.chain.files()[target]
	b, err := x.l.blob(hex.EncodeToString(f.Hashes["sha256"]))
	if err != nil {
		return nil, fmt.Errorf("index file %s: %w", target, err)
	}
	if err := f.VerifyLengthHashes(b); err != nil {
		return nil, refuse(target, err)
	}
	return b, nil
}
