// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/manifest"
)

// commit N NAME@VERSION[@CONSTRAINT][=KEY=VALUE]… makes generation N of packages that install
// --download-only has brought into $ROOT, and puts it in force, as a
// transaction on a machine with the runtime would.
func commit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: commit N NAME@VERSION[=KEY=VALUE]…")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	root := ts.Getenv("ROOT")
	g := install.Generation{Schema: 1, Number: n, Time: time.Unix(int64(n), 0).UTC(), Did: "install " + strings.Join(args[1:], " "), Packages: []install.Package{}}
	for _, arg := range args[1:] {
		id, set, hasSet := strings.Cut(arg, "=")
		name, version, _ := strings.Cut(id, "@")
		version, constraint, _ := strings.Cut(version, "@")
		p, err := fetchedPackage(root, name+"@"+version)
		ts.Check(err)
		p.Constraint = constraint
		if hasSet {
			k, v, _ := strings.Cut(set, "=")
			p.Params = map[string]string{k: v}
		}
		g.Packages = append(g.Packages, *p)
	}
	text, err := g.Encode()
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(root, "generations", args[0]+".json"), text, 0o644))
	current := filepath.Join(root, "current")
	_ = os.Remove(current) // not there the first time
	ts.Check(os.Symlink(filepath.Join("generations", args[0]+".json"), current))
}

// fetchedPackage finds NAME@VERSION among what was fetched into a root.
func fetchedPackage(root, id string) (*install.Package, error) {
	files, err := filepath.Glob(filepath.Join(root, "artifacts", "*.json"))
	if err != nil {
		return nil, err
	}
	store := install.Open(root).Store
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var f install.Fetched
		if err := json.Unmarshal(text, &f); err != nil {
			return nil, err
		}
		raw, err := store.Get(f.Manifest)
		if err != nil {
			return nil, err
		}
		m, err := manifest.Parse(raw)
		if err != nil {
			return nil, err
		}
		if m.Name+"@"+m.Version != id {
			continue
		}
		return &install.Package{
			Name: m.Name, Version: m.Version, Digest: "sha256:" + strings.TrimSuffix(filepath.Base(file), ".json"),
			Manifest: f.Manifest, Object: f.Object, KernelSig: f.KernelSig, Debug: f.Debug,
			Bundles: f.Bundles, Blobs: slices.Concat(f.Blobs, f.Bundles),
			Signer: install.Signer{Publisher: "alice", KeyID: "sha256:" + strings.Repeat("0", 64)},
		}, nil
	}
	return nil, fmt.Errorf("%s was not fetched", id)
}
