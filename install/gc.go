// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Collected says what a garbage collection freed.
type Collected struct {
	Generations []int  `json:"generations"`
	Blobs       []Blob `json:"blobs"`
	Quarantined int    `json:"quarantined"`
	Bytes       int64  `json:"bytes"`
}

// Collect removes all but the last keep generations (the one in force stays in
// any case), every blob that none of the rest names nor what was prepared for
// another kernel, what is in quarantine, and temporary files that a crash left. With dry, it only says what it would remove.
func (l *Lock) Collect(keep int, dry bool) (*Collected, error) {
	r := l.root
	cur, err := r.Current()
	if err != nil {
		return nil, err
	}
	all, err := r.History()
	if err != nil {
		return nil, err
	}
	out := &Collected{}
	used, artifacts := map[string]bool{}, map[string]bool{}
	for i, g := range all {
		if g.Number != cur.Number && i < len(all)-keep {
			out.Generations = append(out.Generations, g.Number)
			continue
		}
		for _, p := range g.Packages {
			artifacts[p.Digest] = true
			for _, d := range p.Blobs {
				used[d] = true
			}
		}
	}
	prepared, stale, err := r.preparedFor(cur.Number)
	if err != nil {
		return nil, err
	}
	for _, p := range prepared {
		for _, item := range p.Target {
			f, err := r.stored(item.Digest)
			if err != nil {
				return nil, err
			}
			if f == nil {
				continue
			}
			artifacts[item.Digest] = true
			for _, d := range slices.Concat(f.Blobs, f.Bundles, f.Wrappers) {
				used[d] = true
			}
		}
	}
	blobs, err := r.Store.List()
	if err != nil {
		return nil, err
	}
	for _, b := range blobs {
		if !used[b.Digest] {
			out.Blobs = append(out.Blobs, b)
			out.Bytes += b.Size
		}
	}
	junk, err := r.junk(out, artifacts)
	if err != nil || dry {
		return out, err
	}
	junk = append(junk, stale...)
	// Generations go first: none must ever name a blob that is gone.
	for _, n := range out.Generations {
		if err := remove(r.generationPath(n)); err != nil {
			return out, err
		}
	}
	for _, b := range out.Blobs {
		if err := r.Store.delete(b.Digest); err != nil {
			return out, err
		}
	}
	for _, path := range junk {
		if err := remove(path); err != nil {
			return out, err
		}
	}
	return out, nil
}

// junk lists quarantined blobs, which it counts, records of artifacts that are not
// among those in use, and left temporary files. The lock keeps others from having
// temporary files in use, save Stores that fetch without it, which there are none
// of.
func (r *Root) junk(out *Collected, artifacts map[string]bool) ([]string, error) {
	var paths []string
	for _, dir := range []string{".", "artifacts", "blobs/sha256", "generations", "loaded", "prepared", "quarantine"} {
		entries, err := os.ReadDir(r.Sub(dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			stale := dir == "quarantine" || strings.HasPrefix(e.Name(), ".tmp-") ||
				dir == "artifacts" && !artifacts["sha256:"+strings.TrimSuffix(e.Name(), ".json")]
			if !stale || e.IsDir() {
				continue
			}
			fi, err := e.Info()
			if err != nil {
				return nil, err
			}
			if dir == "quarantine" {
				out.Quarantined++
			}
			out.Bytes += fi.Size()
			paths = append(paths, filepath.Join(r.Sub(dir), e.Name()))
		}
	}
	return paths, nil
}
