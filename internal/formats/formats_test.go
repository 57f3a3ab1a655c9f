// SPDX-License-Identifier: Apache-2.0

// Package formats_test holds what is written to what docs/schema says of it, and to the
// very bytes and digests in testdata: a change of either is a change of a format.
package formats_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

var update = flag.Bool("update", false, "write the golden files anew")

const base = "https://iupkg.dev/schema/"

// schemas compiles all of docs/schema.
func schemas(t *testing.T) func(ref string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	files, err := filepath.Glob("../../docs/schema/*.json")
	if err != nil || len(files) < 9 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if err := c.AddResource(base+filepath.Base(f), doc); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
	}
	return func(ref string) *jsonschema.Schema {
		s, err := c.Compile(base + ref)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// packages are a version for two kinds of kernels, of which nothing changes.
func packages(t *testing.T) []*registry.Package {
	t.Helper()
	text, err := os.ReadFile("../../manifest/testdata/bmc.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []*registry.Package
	for _, when := range []string{"NUMA!=n", "!(NUMA!=n)"} {
		m, err := manifest.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		object := []byte("\x7fELF for " + when)
		m.Object = manifest.Object{Digest: sum(object), Size: int64(len(object))}
		m.Requires.Config = append(m.Requires.Config, when)
		p := &registry.Package{Object: object, KernelSig: []byte("PKCS#7"), Debug: []byte("DWARF"), Readme: []byte("# bmc\n"), License: []byte("GPL-2.0\n")}
		if p.Manifest, err = m.Encode(); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// written is one document of each format, by name, with the schema that it is held to.
type written struct {
	name, schema string
	raw          []byte
	varies       bool // it has keys or signatures that are made anew
}

func documents(t *testing.T) []written {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	pkgs := packages(t)
	v, err := registry.PackVariants(pkgs)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := signing.NewKeys("acme")
	if err != nil {
		t.Fatal(err)
	}
	if keys.IndexRoot, err = index.NewRoot(keys); err != nil {
		t.Fatal(err)
	}
	m := v.Manifests[0]
	requires, err := json.Marshal(m.Requires)
	if err != nil {
		t.Fatal(err)
	}
	tools, err := json.Marshal(m.Toolchain)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := keys.SignStatement(&signing.Statement{Digest: v.Digests()[0], Predicate: signing.Predicate{
		Name: m.Name, Version: m.Version, Object: m.Object.Digest, Hooks: []string{"xdp", "tc"}, Requires: requires, Toolchain: tools}})
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		DSSEEnvelope struct{ Payload string } `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(bundle, &parsed); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(parsed.DSSEEnvelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	id, err := keys.Identity("bmc*")
	if err != nil {
		t.Fatal(err)
	}
	id.Threshold, id.Provenance = 1, &signing.RequireProvenance{Builders: []string{"https://ci.example.org/*"}}
	id.Revoked = &signing.Revoked{Versions: []string{"bmc@1.0.0"}, Digests: []string{m.Object.Digest}}
	trust, err := id.Encode()
	if err != nil {
		t.Fatal(err)
	}
	lock := &manifest.Lock{Schema: 1, Kernel: manifest.Fingerprint{Release: "6.12.117+deb12-amd64", Arch: "amd64", Config: sum(nil)},
		Packages: []manifest.LockedItem{{Name: m.Name, Version: m.Version, Digest: v.Digests()[0], Publisher: "acme", Keys: []string{sum(nil)}, Auto: true, Constraint: "^1"}}}
	locked, err := lock.Encode()
	if err != nil {
		t.Fatal(err)
	}
	// A layout is a registry in a folder.
	client, err := registry.Open(registry.LayoutScheme+dir, registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PushVariants(ctx, pkgs); err != nil {
		t.Fatal(err)
	}
	if err := client.Attach(ctx, m.Name, v.Digests()[0], registry.Attachment{MediaType: "text/plain", ArtifactType: "application/vnd.example.note", Payload: []byte("a note")}); err != nil {
		t.Fatal(err)
	}
	if err := index.Publish(ctx, client.Index(), keys, index.EntryOfVariants(v.Manifests, v.Digests(), v.Digest())); err != nil {
		t.Fatal(err)
	}
	out := []written{
		{"manifest", "manifest.json", pkgs[0].Manifest, false},
		{"artifact", "artifact.json", v.Artifacts[0], false},
		{"variants", "variants.json", v.Raw, false},
		{"statement", "statement.json", payload, false},
		{"identity", "identity.json", trust, true},
		{"lock", "lock.json", locked, false},
	}
	// What the folder has beside is known by what is in it.
	err = filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch text := string(raw); {
		case strings.HasPrefix(text, `{"schema":1,"bins":`):
			out = append(out, written{"index-node", "index-node.json", raw, false})
		case strings.HasPrefix(text, `{"schema":1,"packages":`):
			out = append(out, written{"index-bin", "index-bin.json", raw, false})
		case strings.Contains(text, `"artifactType":"application/vnd.example.note"`):
			out = append(out, written{"referrer", "referrer.json", raw, false})
		}
		return nil
	})
	if err != nil || len(out) != 9 {
		t.Fatalf("%d documents, %v", len(out), err)
	}
	return out
}

func TestSchemas(t *testing.T) {
	schema := schemas(t)
	for _, w := range documents(t) {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.raw))
		if err != nil {
			t.Fatalf("%s: %v\n%s", w.name, err, w.raw)
		}
		if err := schema(w.schema).Validate(doc); err != nil {
			t.Errorf("%s: %v\n%s", w.name, err, w.raw)
		}
		// A schema that takes anything says nothing.
		if all, ok := doc.(map[string]any); ok {
			for _, field := range []string{"schema", "schemaVersion", "_type"} {
				if _, ok := all[field]; ok {
					all[field] = "another"
				}
			}
			if schema(w.schema).Validate(doc) == nil {
				t.Errorf("%s: another version of the format is valid too", w.name)
			}
		}
	}
}

// TestGolden: the same in gives the same bytes, and so the same digests, on any machine.
func TestGolden(t *testing.T) {
	var sums strings.Builder
	for _, w := range documents(t) {
		if w.varies {
			continue
		}
		golden(t, w.name+".json", w.raw)
		fmt.Fprintf(&sums, "%-10s %s\n", w.name, sum(w.raw))
	}
	golden(t, "digests", []byte(sums.String()))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not as it was; if that is meant, run the test with -update\n%s\nwant\n%s", path, got, want)
	}
}

func sum(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
