// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// release is one version of bmc that the demo publishes. They differ in what
// they ask of the kernel, so that the resolver has something to choose from.
type release struct {
	version string
	kernel  string // release = …
	config  string // one more Kconfig expression
}

var releases = []release{
	{version: "1.2.0", kernel: ">=6.1"},
	{version: "1.2.1", kernel: ">=6.1"},
	{version: "1.3.0", kernel: ">=6.1", config: "FUNCTION_ERROR_INJECTION=y"},
	{version: "2.0.0", kernel: ">=6.99"},
}

// publisher owns the folder in which keys, sources and the registry's blobs stand.
type publisher struct {
	bin string // the iupkg under test
	src string // the repository
	dir string
}

func (p *publisher) iupkg(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, p.bin, args...)
	cmd.Env = append(os.Environ(), "IUPKG_KEYS="+filepath.Join(p.dir, "keys"))
	cmd.Stderr = os.Stderr
	say("$ iupkg %s", strings.Join(args, " "))
	out, err := cmd.Output()
	os.Stdout.Write(out)
	if err != nil {
		return "", fmt.Errorf("iupkg %s: %w", args[0], err)
	}
	return string(out), nil
}

// serve starts the embedded registry and returns its address and a function that ends it.
func (p *publisher) serve(ctx context.Context) (addr string, stop func() error, err error) {
	cmd := exec.CommandContext(ctx, p.bin, "registry", "serve", filepath.Join(p.dir, "registry"), "--addr", "127.0.0.1:0", "--json")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	logFile, err := os.Create(filepath.Join(p.dir, "registry.log"))
	if err != nil {
		return "", nil, err
	}
	cmd.Stderr = logFile
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return cmd.Wait()
	}
	var ready struct {
		Address string `json:"address"`
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		return "", nil, fmt.Errorf("the registry did not start: %w (%s)", err, logFile.Name())
	}
	go io.Copy(io.Discard, lines)
	return ready.Address, stop, nil
}

// copySource makes the source of one release below the publisher's folder.
func (p *publisher) copySource(r release) (string, error) {
	from := filepath.Join(p.src, "extensions", "bmc")
	to := filepath.Join(p.dir, "bmc-"+r.version)
	for _, name := range []string{"src", "Cargo.toml", "Cargo.lock", "iupkg.toml", "README.md"} {
		if err := copyTree(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return "", err
		}
	}
	crate := filepath.Join(p.src, "runtime-crate", "iu")
	err := rewrite(filepath.Join(to, "Cargo.toml"), map[string]string{`"../../runtime-crate/iu"`: fmt.Sprintf("%q", crate)})
	if err != nil {
		return "", err
	}
	edits := map[string]string{
		`version = "1.2.1"`: fmt.Sprintf("version = %q", r.version),
		`release = ">=6.1"`: fmt.Sprintf("release = %q", r.kernel),
	}
	if r.config != "" {
		edits[`"NET_CLS_ACT"]`] = fmt.Sprintf(`"NET_CLS_ACT", %q]`, r.config)
	}
	return to, rewrite(filepath.Join(to, "iupkg.toml"), edits)
}

func copyTree(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}

// rewrite replaces each text, which must be there, in a file.
func rewrite(path string, edits map[string]string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(b)
	for from, to := range edits {
		if !strings.Contains(text, from) {
			return fmt.Errorf("%s has no %q", path, from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// publishAll makes the publisher's keys and publishes every release.
func (p *publisher) publishAll(ctx context.Context, registry string) error {
	if err := os.RemoveAll(filepath.Join(p.dir, "keys")); err != nil {
		return err
	}
	if _, err := p.iupkg(ctx, "key", "new", "demo"); err != nil {
		return err
	}
	for _, r := range releases {
		dir, err := p.copySource(r)
		if err != nil {
			return err
		}
		if _, err := p.iupkg(ctx, "publish", dir, "--key", "demo", "--registry", registry, "--no-progress"); err != nil {
			return err
		}
	}
	trust, err := p.iupkg(ctx, "key", "show", "demo", "--public")
	if err != nil {
		return err
	}
	return os.WriteFile(p.trustFile(), []byte(trust), 0o644)
}

func (p *publisher) trustFile() string { return filepath.Join(p.dir, "demo.trust") }
