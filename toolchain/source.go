// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/iupkg/iupkg/manifest"
)

// source is what a build was made from.
type source struct {
	uri     string // of the repository that iupkg.toml names, "" if none
	dirHash string
	commit  string    // "" unless git has exactly these files in HEAD
	when    time.Time // of the commit
}

// dirHash is Go's Hash1 in hex, which in-toto calls dirHash: SHA-256 of a line for
// each file, in the order of names, of its SHA-256 and its name.
func dirHash(files map[string][]byte) string {
	h := sha256.New()
	for _, name := range sortedKeys(files) {
		fmt.Fprintf(h, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// readSource describes the project: iupkg.toml, Cargo.toml, Cargo.lock if it has one
// of its own, and of the files that the compiler read those that are in its folder.
func (b *builder) readSource(ctx context.Context, read []string) (*source, error) {
	begins(ctx, stepRecord)
	files := map[string][]byte{}
	for _, path := range append([]string{manifest.ProjectFile, "Cargo.toml", "Cargo.lock"}, read...) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(b.dir, path)
		}
		rel, err := filepath.Rel(b.dir, path)
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) && rel == "Cargo.lock" {
			continue // one for the whole workspace; what it says is among the dependencies
		}
		if err != nil {
			return nil, err
		}
		files[filepath.ToSlash(rel)] = data
	}
	s := &source{dirHash: dirHash(files)}
	if repo := b.project.Package.Repository; repo != "" {
		s.uri = repo
		if strings.HasPrefix(repo, "https://") || strings.HasPrefix(repo, "http://") {
			s.uri = "git+" + repo
		}
	}
	s.commit, s.when = gitCommit(ctx, b.dir, files)
	return s, nil
}

// gitCommit is git's HEAD, if it has just these files in dir. Only commands are used
// that run nothing which the repository configures, such as filters: its author is
// not trusted here.
func gitCommit(ctx context.Context, dir string, files map[string][]byte) (string, time.Time) {
	git := func(args ...string) []byte {
		cmd := exec.CommandContext(ctx, "git", append([]string{"--no-replace-objects", "-c", "core.fsmonitor=false"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			return nil
		}
		return out
	}
	id := strings.TrimSpace(string(git("rev-parse", "--verify", "HEAD^{commit}")))
	if _, err := hex.DecodeString(id); err != nil || len(id) < 40 {
		return "", time.Time{}
	}
	names := sortedKeys(files)
	known := map[string]string{}
	for line := range strings.SplitSeq(string(git(append([]string{"--literal-pathspecs", "ls-tree", "-z", id, "--"}, names...)...)), "\x00") {
		about, name, ok := strings.Cut(line, "\t")
		if f := strings.Fields(about); ok && len(f) == 3 && f[1] == "blob" {
			known[name] = f[2]
		}
	}
	for _, name := range names {
		if known[name] == "" || known[name] != gitBlob(files[name], len(known[name])) {
			return "", time.Time{}
		}
	}
	return id, committed(git("cat-file", "commit", id))
}

// gitBlob is git's name of a file's content, in a repository whose names have that
// many digits.
func gitBlob(data []byte, digits int) string {
	var h hash.Hash = sha1.New()
	if digits == 64 {
		h = sha256.New()
	}
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// committed is when a commit was made, the zero time if it does not say.
func committed(commit []byte) time.Time {
	for line := range bytes.Lines(commit) {
		f := strings.Fields(string(line))
		if len(f) == 0 {
			break
		}
		if f[0] == "committer" && len(f) > 3 {
			if n, err := strconv.ParseInt(f[len(f)-2], 10, 64); err == nil {
				return time.Unix(n, 0).UTC()
			}
		}
	}
	return time.Time{}
}

// debPackage is an installed package that takes part in builds.
type debPackage struct{ name, version, arch string }

func (p debPackage) purl() string {
	return purl("deb/debian", p.name, p.version) + "?arch=" + p.arch
}

// purl is a package URL (https://github.com/package-url/purl-spec).
func purl(kind, name, version string) string {
	escape := strings.NewReplacer("%", "%25", "+", "%2B", "~", "~", "@", "%40", "?", "%3F", "#", "%23")
	return "pkg:" + kind + "/" + escape.Replace(name) + "@" + escape.Replace(version)
}

// packages asks dpkg for the versions of the toolchain's packages; none where there
// is no dpkg.
func (t *tools) packages(ctx context.Context) []debPackage {
	llvm := strconv.Itoa(llvmMajor)
	cmd := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture} ${db:Status-Status}\n",
		"rustc-web", "cargo-web", "rust-web-src", "llvm-"+llvm, "libllvm"+llvm)
	out, _ := cmd.Output() // it fails if one of them is not there, and lists the others
	var list []debPackage
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 4 && f[3] == "installed" {
			list = append(list, debPackage{f[0], f[1], f[2]})
		}
	}
	slices.SortFunc(list, func(a, b debPackage) int { return strings.Compare(a.name, b.name) })
	return list
}
