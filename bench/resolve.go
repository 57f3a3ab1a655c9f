// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/internal/sideload/pack"
	"github.com/iupkg/iupkg/internal/universe"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

// measureResolve takes `iupkg resolve` of three packages, from start to exit, over
// the signed index of a universe, synchronised before: it verifies the copy, reads
// what it needs of it, solves, and writes the plan.
func measureResolve(ctx context.Context, dir string) ([]result, error) {
	var all []result
	for _, size := range sizes {
		root := filepath.Join(dir, size.name)
		// In a process of its own: the peak of a process counts from that of who
		// starts it.
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		if err := pack.Command(ctx, self, "-make-index", root, "-packages", strconv.Itoa(size.packages)); err != nil {
			return nil, err
		}
		profile, err := manifest.EncodeProfile(universe.Profile())
		if err != nil {
			return nil, err
		}
		kernel := filepath.Join(root, "kernel.json")
		if err := os.WriteFile(kernel, profile, 0o644); err != nil {
			return nil, err
		}
		p, out, err := runs(ctx, slices.Concat([]string{iupkg, "--root", root, "--offline", "--json",
			"resolve", "--kernel", kernel}, universe.Wanted)...)
		if err != nil {
			return nil, err
		}
		var answer struct {
			Kernels []struct {
				Packages []struct{ Name string } `json:"packages"`
			} `json:"kernels"`
		}
		if err := json.Unmarshal(out, &answer); err != nil {
			return nil, err
		}
		if len(answer.Kernels) != 1 || len(answer.Kernels[0].Packages) < len(universe.Wanted) {
			return nil, fmt.Errorf("%s found no plan: %.300s", size.name, out)
		}
		all = append(all, p.results(size.name)...)
		all = append(all, result{Name: size.name + ".plan", Value: float64(len(answer.Kernels[0].Packages)), Unit: "packages"})
	}
	return all, nil
}

// makeIndex publishes packages into a new registry and synchronises root with it.
func makeIndex(ctx context.Context, root string, packages map[string][]manifest.Candidate) error {
	seed := sha256.Sum256([]byte("bench"))
	keys := &signing.Keys{Name: "bench", Index: ed25519.NewKeyFromSeed(seed[:])}
	var err error
	if keys.IndexRoot, err = index.NewRoot(keys); err != nil {
		return err
	}
	client, err := registry.Open(registry.LayoutScheme+filepath.Join(root, "registry"), registry.Options{})
	if err != nil {
		return err
	}
	var entries []index.Entry
	for name, list := range packages {
		for _, c := range list {
			entries = append(entries, index.Entry{Name: name, Description: "package " + name + " of the benchmark", License: "Apache-2.0", Version: c})
		}
	}
	remote := client.Index()
	if err := (&index.Publisher{Remote: remote, Keys: keys}).Publish(ctx, entries...); err != nil {
		return err
	}
	_, err = index.Sync(ctx, remote, filepath.Join(root, "index"), keys.IndexRoot)
	return err
}
