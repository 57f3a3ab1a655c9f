// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/iupkg/iupkg/kernel"
)

// fileKernel keeps in files what a kernel would keep of extensions, in as many
// steps, so that a process can be killed between any two of them:
//
//	ID.ext      an extension, committed if no higher number than the slot's
//	NAME.slot   number of the extension that runs; renaming it into place is the commit
//	NAME.link   a pinned link
//
// What was not committed goes away with its loader: reap.
type fileKernel struct{ dir string }

type fileExt struct{ Name, Version, Digest, Did string }

func (k fileKernel) path(name string) string { return filepath.Join(k.dir, name) }

func (k fileKernel) exts() (map[uint32]fileExt, error) {
	files, err := filepath.Glob(k.path("*.ext"))
	if err != nil {
		return nil, err
	}
	out := map[uint32]fileExt{}
	for _, f := range files {
		id, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(f), ".ext"), 10, 32)
		if err != nil {
			return nil, err
		}
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var x fileExt
		if json.Unmarshal(b, &x) == nil { // else its making was cut short
			out[uint32(id)] = x
		} else {
			out[uint32(id)] = fileExt{}
		}
	}
	return out, nil
}

// slot is the extension that runs under the name, 0 if none does.
func (k fileKernel) slot(name string) uint32 {
	b, _ := os.ReadFile(k.path(name + ".slot"))
	id, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	return uint32(id)
}

func (k fileKernel) reap() error {
	exts, err := k.exts()
	if err != nil {
		return err
	}
	for id, x := range exts {
		if id > k.slot(x.Name) {
			if err := os.Remove(k.path(fmt.Sprint(id, ".ext"))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k fileKernel) enter(spec *kernel.LoadSpec) (*kernel.Loaded, error) {
	exts, err := k.exts()
	if err != nil {
		return nil, err
	}
	id := uint32(1)
	for n := range exts {
		id = max(id, n+1)
	}
	x := fileExt{spec.Manifest.Name, spec.Manifest.Version, Digest(spec.Object), describe(spec)}
	b, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	l := &kernel.Loaded{Name: x.Name, Version: x.Version, Digest: x.Digest, ID: id}
	return l, os.WriteFile(k.path(fmt.Sprint(id, ".ext")), b, 0o644)
}

func (k fileKernel) commit(spec *kernel.LoadSpec, l *kernel.Loaded) error {
	if err := spec.Record(l); err != nil {
		return err
	}
	tmp := k.path(l.Name + ".tmp")
	if err := os.WriteFile(tmp, fmt.Append(nil, l.ID), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, k.path(l.Name+".slot"))
}

// fail undoes what was not committed.
func (k fileKernel) fail(l *kernel.Loaded, link bool, err error) error {
	if l != nil {
		_ = os.Remove(k.path(fmt.Sprint(l.ID, ".ext")))
	}
	if link {
		_ = os.Remove(k.path(l.Name + ".link"))
	}
	return err
}

func (k fileKernel) Load(_ context.Context, spec kernel.LoadSpec) (*kernel.Loaded, error) {
	name := spec.Manifest.Name
	if k.slot(name) != 0 {
		return nil, kernel.ErrLoaded
	}
	l, err := k.enter(&spec)
	if err != nil {
		return nil, k.fail(l, false, err)
	}
	if err := os.WriteFile(k.path(name+".link"), []byte("link"), 0o644); err != nil {
		return nil, k.fail(l, true, err)
	}
	if err := k.commit(&spec, l); err != nil {
		return nil, k.fail(l, true, err)
	}
	return l, nil
}

func (k fileKernel) Replace(_ context.Context, old *kernel.Loaded, spec kernel.LoadSpec) (*kernel.Loaded, error) {
	if k.slot(old.Name) != old.ID {
		return nil, kernel.ErrNotLoaded
	}
	l, err := k.enter(&spec)
	if err != nil {
		return nil, k.fail(l, false, err)
	}
	if err := k.commit(&spec, l); err != nil {
		return nil, k.fail(l, false, err)
	}
	return l, os.Remove(k.path(fmt.Sprint(old.ID, ".ext")))
}

func (k fileKernel) Unload(_ context.Context, l *kernel.Loaded) error {
	if err := remove(k.path(l.Name + ".link")); err != nil {
		return err
	}
	exts, err := k.exts()
	if err != nil {
		return err
	}
	if err := remove(k.path(l.Name + ".slot")); err != nil {
		return err
	}
	for id, x := range exts {
		if x.Name != l.Name {
			continue
		}
		if err := remove(k.path(fmt.Sprint(id, ".ext"))); err != nil {
			return err
		}
	}
	return nil
}

func (k fileKernel) Intact(l *kernel.Loaded) error {
	exts, err := k.exts()
	if err != nil {
		return err
	}
	if x := exts[l.ID]; k.slot(l.Name) != l.ID || x.Digest != l.Digest {
		return &kernel.Broken{What: "another runs"}
	}
	if _, err := os.Stat(k.path(l.Name + ".link")); err != nil {
		return &kernel.Broken{What: "not attached"}
	}
	return nil
}

func (k fileKernel) Settle(_ context.Context, l *kernel.Loaded) error {
	if err := k.Intact(l); err != nil {
		return err
	}
	exts, err := k.exts()
	if err != nil {
		return err
	}
	for id, x := range exts {
		if x.Name == l.Name && id != l.ID {
			if err := remove(k.path(fmt.Sprint(id, ".ext"))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k fileKernel) Status() ([]kernel.Status, error) {
	exts, err := k.exts()
	if err != nil {
		return nil, err
	}
	var out []kernel.Status
	for id, x := range exts {
		s := kernel.Status{Extension: kernel.Extension{ID: id, Name: x.Name, Version: x.Version, Committed: k.slot(x.Name) == id}}
		if raw, err := hex.DecodeString(strings.TrimPrefix(x.Digest, "sha256:")); err == nil && len(raw) == len(s.Digest) {
			s.Digest = [len(s.Digest)]byte(raw)
		}
		out = append(out, s)
	}
	return out, nil
}

// state is all of it, as text: what runs, attached or not, and what is left over.
func (k fileKernel) state() (string, error) {
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return "", err
	}
	exts, err := k.exts()
	if err != nil {
		return "", err
	}
	var lines []string
	for _, e := range entries {
		switch name := e.Name(); filepath.Ext(name) {
		case ".slot":
			id := k.slot(strings.TrimSuffix(name, ".slot"))
			lines = append(lines, "runs "+exts[id].Name+" "+exts[id].Did)
			delete(exts, id)
		case ".link":
			lines = append(lines, "link "+name)
		case ".tmp": // of a commit that was cut short: no kernel has such a thing
		}
	}
	for _, x := range exts {
		lines = append(lines, "left over "+x.Did)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}
