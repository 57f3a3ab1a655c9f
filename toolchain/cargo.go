// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// cargo runs cargo in a folder without configuration: it reads .cargo/config.toml of
// the current folder and its parents, not of the project.
func (b *builder) cargo(ctx context.Context, log io.Writer, args ...string) ([]byte, error) {
	if b.opts.Offline {
		args = append(args, "--offline")
	}
	// Debug information is the profile's and crateFlags', which would not be heard after these.
	rustflags := slices.Concat([]string{"--sysroot=" + b.sysroot}, slices.DeleteFunc(slices.Clone(codegenFlags),
		func(f string) bool { return strings.HasPrefix(f, "-Cdebuginfo") }))
	for _, d := range b.deps() {
		rustflags = append(rustflags, remap(d.dir, d.name+"-"+d.version))
	}
	c := command{
		path: b.tools.cargo,
		args: args,
		dir:  b.targetDir,
		log:  log,
		env: slices.Concat(profile, []string{
			"RUSTC=" + b.tools.rustc,
			"RUSTC_WRAPPER=" + filepath.Join(b.targetDir, wrapperName),
			"RUSTC_BOOTSTRAP=1",
			"CARGO_TARGET_DIR=" + b.targetDir,
			"IUPKG_ROOT=" + b.rootLib(),
			"CARGO_ENCODED_RUSTFLAGS=" + strings.Join(rustflags, "\x1f"),
		}),
	}
	// Set, even to nothing, it keeps cargo from remembering what rustc says of itself, which
	// it then asks six times in each build.
	if b.workspaceWrapper() {
		c.env = append(c.env, "RUSTC_WORKSPACE_WRAPPER=")
	}
	return c.run(ctx)
}

// workspaceWrapper says whether some configuration that cargo reads may name one.
func (b *builder) workspaceWrapper() bool {
	homes := []string{os.Getenv("CARGO_HOME"), filepath.Join(os.Getenv("HOME"), ".cargo")}
	for dir := b.targetDir; ; dir = filepath.Dir(dir) {
		homes = append(homes, filepath.Join(dir, ".cargo"))
		if dir == filepath.Dir(dir) {
			break
		}
	}
	for _, home := range homes {
		for _, name := range []string{"config", "config.toml"} {
			text, err := os.ReadFile(filepath.Join(home, name))
			if home != "" && (err == nil && bytes.Contains(text, []byte("workspace-wrapper")) || err != nil && !errors.Is(err, os.ErrNotExist)) {
				return true
			}
		}
	}
	return false
}

//go:embed rustc-wrapper.sh
var rustcWrapper string

// wrapperName is the file in cargo's folder that it runs as rustc.
const wrapperName = "rustc-wrapper"

// makeTargetDir makes cargo's folder: one for all projects, so that what they
// share is built once.
func (b *builder) makeTargetDir() error {
	key := hashOf(b.sysroot, rustcWrapper)[:16]
	b.targetDir = filepath.Join(b.cacheDir, "cargo-"+key)
	wrapper := filepath.Join(b.targetDir, wrapperName)
	if _, err := os.Stat(wrapper); err == nil {
		return nil
	}
	if err := os.MkdirAll(b.targetDir, 0o755); err != nil {
		return err
	}
	return writeFile(wrapper, []byte(rustcWrapper), 0o755)
}

// rootLib is the extension's crate, as rustc calls it; empty before vetting.
func (b *builder) rootLib() string {
	if b.crate == nil {
		return ""
	}
	return b.crate.lib
}

func (b *builder) deps() []dependency {
	if b.crate == nil {
		return nil
	}
	return b.crate.deps
}

// compile makes the archive of bitcode, copies it to path, and returns the
// source files that went into it and what the compiler made of them.
func (b *builder) compile(ctx context.Context, path string) (sources []string, v *views, err error) {
	begins(ctx, stepCompile)
	// cargo's own lock ends with it, before the archive is copied.
	unlock, err := lockFile(ctx, b.targetDir+".lock")
	if err != nil {
		return nil, nil, err
	}
	defer unlock()

	log := b.opts.Stderr
	if log == nil {
		log = io.Discard
	}
	args := []string{"rustc", "--lib", "--release", "--locked", "--quiet", "--target=" + target, "--crate-type=staticlib",
		"--message-format=json-render-diagnostics", "--manifest-path=" + filepath.Join(b.dir, "Cargo.toml")}
	if b.opts.Offline {
		args = append(args, "--offline")
	}
	args = append(append(args, "--"), crateFlags...)
	out, err := b.cargo(ctx, log, append(append(args, b.variantFlags()...), remap(b.dir, b.crate.name))...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return nil, nil, ErrCompile
	case err != nil:
		return nil, nil, err
	}
	archive, err := b.artifact(out)
	if err != nil {
		return nil, nil, err
	}
	if err := copyFile(archive, path); err != nil {
		return nil, nil, err
	}
	if v, err = readViews(archive, b.crate.lib); err != nil {
		return nil, nil, err
	}
	sources, err = readDepInfo(strings.TrimSuffix(archive, ".a") + ".d")
	return sources, v, err
}

// artifact finds the archive in cargo's messages.
func (b *builder) artifact(messages []byte) (string, error) {
	dec := json.NewDecoder(bytes.NewReader(messages))
	for {
		var m struct {
			Reason string `json:"reason"`
			Target struct {
				Name string `json:"name"`
			} `json:"target"`
			Filenames []string `json:"filenames"`
		}
		if err := dec.Decode(&m); err == io.EOF {
			return "", errors.New("cargo made no static library")
		} else if err != nil {
			return "", fmt.Errorf("cargo's messages: %w", err)
		}
		if m.Reason != "compiler-artifact" || m.Target.Name != b.crate.lib {
			continue
		}
		for _, f := range m.Filenames {
			if strings.HasSuffix(f, ".a") {
				return f, nil
			}
		}
	}
}

// readDepInfo reads the list of sources that cargo leaves in make's syntax:
// "target: source source", with backslashes before spaces.
func readDepInfo(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, list, ok := strings.Cut(string(b), ": ")
	if !ok {
		return nil, fmt.Errorf("%s: not a list of sources", path)
	}
	list, _, _ = strings.Cut(list, "\n")
	var out []string
	for _, f := range strings.Split(strings.ReplaceAll(list, `\ `, "\x00"), " ") {
		if f != "" {
			out = append(out, strings.ReplaceAll(f, "\x00", " "))
		}
	}
	return out, nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
