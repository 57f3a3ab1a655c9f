// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

// variantsOf is one version for two kinds of kernels.
func variantsOf(t testing.TB, name, version string, config ...string) []*Package {
	t.Helper()
	var list []*Package
	for _, c := range config {
		p := testPackage(t, name, version)
		m, err := manifest.Parse(p.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		p.Object = append(bytes.Clone(p.Object), c...)
		m.Object = manifest.Object{Digest: digestOf(p.Object), Size: int64(len(p.Object))}
		m.Requires.Config = []string{c}
		if p.Manifest, err = m.Encode(); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func TestVariants(t *testing.T) {
	c, _ := testRegistry(t)
	ps := variantsOf(t, "bmc", "1.2.0", "NUMA!=n", "!(NUMA!=n)")
	v, err := c.PushVariants(t.Context(), ps)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.PushVariants(t.Context(), ps); err != nil || again.Digest() != v.Digest() {
		t.Fatalf("pushing the same again: %v", err)
	}
	if d, err := c.Resolve(t.Context(), "bmc", "1.2.0"); err != nil || d != v.Digest() {
		t.Errorf("the tag names %s, %v, want %s", d, err, v.Digest())
	}
	raw, digests, err := c.FetchVariants(t.Context(), "bmc", v.Digest())
	if err != nil || !bytes.Equal(raw, v.Raw) || !slices.Equal(digests, v.Digests()) {
		t.Fatalf("%v, %v\nwant %v", digests, err, v.Digests())
	}
	for i, d := range digests {
		f, err := c.Fetch(t.Context(), "bmc", d, newMemStore())
		if err != nil {
			t.Fatal(err)
		}
		if f.Object != digestOf(ps[i].Object) {
			t.Errorf("variant %d has object %s", i, f.Object)
		}
	}
	// What lists artifacts is none itself, and no other version takes its place.
	if _, err := c.Fetch(t.Context(), "bmc", "1.2.0", newMemStore()); KindOf(err) != Malformed {
		t.Errorf("an image index was fetched as an artifact: %v", err)
	}
	slices.Reverse(ps)
	if _, err := c.PushVariants(t.Context(), ps); KindOf(err) != Conflict {
		t.Errorf("another order went for the same: %v", err)
	}
	if _, err := c.Push(t.Context(), ps[0]); KindOf(err) != Conflict {
		t.Errorf("an artifact took the place of an image index: %v", err)
	}
}

// TestVariantsRefused changes one thing at a time in an image index that is right.
func TestVariantsRefused(t *testing.T) {
	v, err := PackVariants(variantsOf(t, "bmc", "1.2.0", "A", "B"))
	if err != nil {
		t.Fatal(err)
	}
	for why, change := range map[string]func(x map[string]any, list []any){
		"schema version 3":  func(x map[string]any, _ []any) { x["schemaVersion"] = 3 },
		"media type":        func(x map[string]any, _ []any) { x["mediaType"] = "application/vnd.oci.image.manifest.v1+json" },
		"artifact type":     func(x map[string]any, _ []any) { x["artifactType"] = "application/x" },
		"has a subject":     func(x map[string]any, l []any) { x["subject"] = l[0] },
		"1 variants":        func(x map[string]any, l []any) { x["manifests"] = l[:1] },
		"65 variants":       func(x map[string]any, l []any) { x["manifests"] = slices.Repeat(l[:1], 65) },
		"stands twice":      func(x map[string]any, l []any) { x["manifests"] = []any{l[0], l[0]} },
		"of media type":     func(_ map[string]any, l []any) { l[1].(map[string]any)["mediaType"] = "text/plain" },
		"size is":           func(_ map[string]any, l []any) { l[1].(map[string]any)["size"] = 2 << 20 },
		"malformed digest":  func(_ map[string]any, l []any) { l[1].(map[string]any)["digest"] = "sha256:../../x" },
		"urls or data":      func(_ map[string]any, l []any) { l[0].(map[string]any)["urls"] = []string{"http://x"} },
		"and artifact type": func(_ map[string]any, l []any) { delete(l[0].(map[string]any), "artifactType") },
	} {
		var x map[string]any
		if err := json.Unmarshal(v.Raw, &x); err != nil {
			t.Fatal(err)
		}
		change(x, x["manifests"].([]any))
		raw, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseVariants(raw); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: got %v", why, err)
		}
	}
	if _, err := PackVariants(append(variantsOf(t, "bmc", "1.2.0", "A"), variantsOf(t, "bmc", "1.3.0", "B")...)); err == nil {
		t.Error("two versions went for variants of one")
	}
}

func FuzzVariants(f *testing.F) {
	v, err := PackVariants(variantsOf(f, "bmc", "1.2.0", "A", "B"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(v.Raw)
	f.Add([]byte(`{"schemaVersion":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := ParseVariants(raw)
		if err != nil {
			return
		}
		if len(list) < 2 || len(list) > MaxVariants {
			t.Errorf("%d variants", len(list))
		}
		for _, d := range list {
			if checkDigest(d) != nil {
				t.Errorf("digest %q", d)
			}
		}
	})
}
