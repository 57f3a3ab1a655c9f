// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
		"GIT_COMMITTER_DATE=1700000000 +0100", "GIT_AUTHOR_DATE=1700000000 +0100", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestGitCommit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	top := t.TempDir()
	dir := filepath.Join(top, "sub")
	files := map[string][]byte{"a.rs": []byte("a\n"), "src/b [x].rs": []byte("b\n")}
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, format := range []string{"sha1", "sha256"} {
		if err := os.RemoveAll(filepath.Join(top, ".git")); err != nil {
			t.Fatal(err)
		}
		if id, _ := gitCommit(t.Context(), dir, files); id != "" && strings.HasPrefix(top, os.TempDir()) {
			t.Errorf("commit %s of no repository", id)
		}
		git(t, top, "init", "-q", "--object-format="+format)
		git(t, top, "add", ".")
		git(t, top, "commit", "-qm", "x")
		want := git(t, top, "rev-parse", "HEAD")
		id, when := gitCommit(t.Context(), dir, files)
		if id != want || !when.Equal(time.Unix(1700000000, 0)) {
			t.Errorf("%s: commit %q of %v, want %q", format, id, when, want)
		}
		// What git would run for others: nothing of it is run here.
		ran := filepath.Join(top, "ran")
		git(t, top, "config", "core.fsmonitor", "touch "+ran+"; false")
		git(t, top, "config", "filter.x.clean", "touch "+ran+"; cat")
		if err := os.WriteFile(filepath.Join(top, ".git", "info", "attributes"), []byte("* filter=x\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		gitCommit(t.Context(), dir, files)
		if _, err := os.Stat(ran); err == nil {
			t.Error("a command of the repository was run")
		}
		changed := map[string][]byte{"a.rs": []byte("A\n")}
		if id, _ := gitCommit(t.Context(), dir, changed); id != "" {
			t.Errorf("%s: changed files are of commit %s", format, id)
		}
		if id, _ := gitCommit(t.Context(), dir, map[string][]byte{"new.rs": nil}); id != "" {
			t.Errorf("%s: a new file is of commit %s", format, id)
		}
	}
}

func TestProvenanceAndSBOM(t *testing.T) {
	lib := testLib(t)
	r, _, err := build(t, lib, "xdp_count", [3]string{"iupkg.toml", "[package]\n", "[package]\nrepository = \"https://forge.example.org/acme/count\"\n"})
	if err != nil {
		t.Fatal(err)
	}
	object, err := os.ReadFile(r.ObjectPath)
	if err != nil {
		t.Fatal(err)
	}
	var st provenanceStatement
	read := func(path string, v any) {
		t.Helper()
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	read(r.ProvenancePath, &st)
	if st.PredicateType != ProvenanceType || len(st.Subject) != 2 || st.Subject[0].Digest["sha256"] != sha(object) {
		t.Errorf("statement is %+v", st)
	}
	def := st.Predicate.BuildDefinition
	src, _ := def.ExternalParameters["source"].(map[string]any)
	if def.BuildType != BuildType || st.Predicate.RunDetails.Builder.ID != LocalBuilder || src["uri"] != "git+https://forge.example.org/acme/count" {
		t.Errorf("provenance is %+v", st.Predicate)
	}
	vetted, err := parseLock(vettedLock)
	if err != nil {
		t.Fatal(err)
	}
	var doc spdxDocument
	read(r.SBOMPath, &doc)
	if doc.Version != "SPDX-2.3" || doc.Creation.Created == "" || doc.Packages[0].Checksums[0].Value != sha(object) {
		t.Errorf("SBOM is %+v", doc)
	}
	relation := func(id string) string {
		for _, x := range doc.Relationships {
			if x.From == id && x.To == spdxRoot || x.From == spdxRoot && x.To == id {
				return x.Type
			}
		}
		return ""
	}
	for _, k := range vetted {
		if k.Checksum == "" {
			continue
		}
		used := slices.ContainsFunc(def.ResolvedDependencies, func(d resource) bool {
			return d.URI == "pkg:cargo/"+k.Name+"@"+k.Version && d.Digest["sha256"] == k.Checksum
		})
		i := slices.IndexFunc(doc.Packages, func(p spdxPackage) bool { return p.Name == k.Name })
		if !used || i < 0 || doc.Packages[i].Version != k.Version || doc.Packages[i].Checksums[0].Value != k.Checksum {
			t.Errorf("%s %s is not as vetted in provenance (%v) or SBOM", k.Name, k.Version, used)
		}
	}
	for id, want := range map[string]string{
		"SPDXRef-crate-zerocopy": "STATIC_LINK", "SPDXRef-crate-iu": "STATIC_LINK", "SPDXRef-core": "STATIC_LINK",
		"SPDXRef-crate-syn": "BUILD_DEPENDENCY_OF", "SPDXRef-crate-iu-macros": "BUILD_DEPENDENCY_OF",
	} {
		if got := relation(id); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
}
