// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var updateLock = flag.Bool("update-lock", false, "rewrite what is expected in testdata/lock.txt")

// testdata/lock.txt has lock files, each with "ok" or what is wrong with it.
func TestParseLock(t *testing.T) {
	const file = "testdata/lock.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for c := range strings.SplitSeq(string(text), "\n===\n") {
		in, want, _ := strings.Cut(c, "---\n")
		got := "ok"
		if l, err := ParseLock([]byte(in), "iupkg.lock"); err != nil {
			got = err.Error()
		} else if _, err := l.Encode(); err != nil {
			t.Errorf("%s\ncannot be written again: %v", in, err)
		}
		if got != strings.TrimRight(want, "\n") && !*updateLock {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
		out = append(out, in+"---\n"+got)
	}
	if *updateLock {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n===\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFingerprint(t *testing.T) {
	p := Profile{Release: "6.12.1", Arch: "amd64", Config: map[string]string{"A": "y", "B": `"x"`}, BTF: []byte("btf")}
	f := p.Fingerprint()
	// printf 'A=y\nB="x"\n' | sha256sum; printf btf | sha256sum
	want := Fingerprint{Release: "6.12.1", Arch: "amd64",
		Config: "sha256:c43566949903357cc8429ed07af986a9ca6daa2452cddab93fd0c71412294357",
		BTF:    "sha256:3ca0fdf06e7ffb5cfadfbe01505f6555595ae7abb78843bad2f1a128b4617741"}
	if f != want {
		t.Errorf("got %+v", f)
	}
	if d := f.Drift(f); len(d) > 0 {
		t.Errorf("a kernel drifts from itself: %v", d)
	}
	other := p
	other.Release, other.Config, other.BTF = "6.12.2", nil, []byte("other")
	d := f.Drift(other.Fingerprint())
	if len(d) != 3 || d[0] != "the kernel's release is 6.12.2 and was locked as 6.12.1" ||
		!slices.ContainsFunc(d, func(s string) bool {
			return strings.HasPrefix(s, "the kernel's configuration is unknown and was locked as sha256:")
		}) {
		t.Errorf("got %q", d)
	}
}
