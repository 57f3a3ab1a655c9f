// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every test that docs/soundness.md names is there.
func TestSoundnessTable(t *testing.T) {
	text, err := os.ReadFile("../docs/soundness.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 3 || !strings.HasPrefix(line, "| ") || strings.Contains(cells[0], "---") || cells[2] == "test |" {
			continue
		}
		rows++
		named := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[2], -1)
		if len(named) == 0 {
			t.Errorf("no test: %s", line)
		}
		for _, n := range named {
			file, what, _ := strings.Cut(n[1], ": ")
			src, err := os.ReadFile(filepath.Join("..", file))
			if err != nil {
				t.Error(err)
			} else if !strings.Contains(string(src), what) {
				t.Errorf("%s has no %q", file, what)
			}
		}
	}
	if rows < 25 {
		t.Errorf("%d rows were found", rows)
	}
}

// What the environment says does not reach the compiler.
func TestEnvironment(t *testing.T) {
	lib := testLib(t)
	for _, v := range []string{"RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC", "RUSTUP_TOOLCHAIN",
		"CARGO_BUILD_TARGET", "CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "CARGO_UNSTABLE_BUILD_STD", "MAKEFLAGS", "MFLAGS", "CARGO_MAKEFLAGS",
		"LD_PRELOAD", "SECRET_TOKEN"} {
		t.Setenv(v, "/nonexistent --broken")
	}
	for _, v := range cleanEnv() {
		if strings.Contains(v, "--broken") {
			t.Errorf("%s is kept", v)
		}
	}
	if !slices.ContainsFunc(cleanEnv(), func(v string) bool { return strings.HasPrefix(v, "PATH=") }) {
		t.Error("PATH is dropped")
	}
	// Files that cargo or rustup would heed in a project.
	if _, said, err := build(t, lib, "spin", [3]string{"rust-toolchain.toml", "", "[toolchain]\nchannel = \"none\"\n"},
		[3]string{".cargo/config.toml", "", "[build]\nrustc = \"/nonexistent\"\nrustflags = [\"--broken\"]\n[unstable]\nbuild-std = [\"core\"]\n"}); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}
