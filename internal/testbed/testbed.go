// SPDX-License-Identifier: Apache-2.0

// Package testbed is what the demo and the tests in virtual machines share: a
// publisher with keys and a registry of its own, and commands in a machine.
// All of it goes through bin/iupkg as a user would.
package testbed

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/iupkg/iupkg/kernel/vm"
)

// Publisher owns a folder with keys, sources and the blobs of a registry.
type Publisher struct {
	Src string // the repository, absolute
	Dir string // made if absent
	// Say is told every command before it runs.
	Say func(format string, args ...any)

	port string
	stop func() error
}

// Key is the name of the publisher's keys.
const Key = "demo"

// IUPkg is the command under test.
func (p *Publisher) IUPkg() string { return filepath.Join(p.Src, "bin", "iupkg") }

// TrustFile is the public half of the publisher's keys, once they are made.
func (p *Publisher) TrustFile() string { return filepath.Join(p.Dir, Key+".trust") }

// Registry is the reference of the registry, as seen on this machine.
func (p *Publisher) Registry() string { return "http://127.0.0.1:" + p.port + "/iupkg" }

// GuestRegistry is the reference of the registry, as seen in a machine.
func (p *Publisher) GuestRegistry() string { return "http://10.0.2.2:" + p.port + "/iupkg" }

// Blobs is the folder in which the registry keeps its blobs, by digest.
func (p *Publisher) Blobs() string {
	return filepath.Join(p.Dir, "registry", "docker", "registry", "v2", "blobs", "sha256")
}

// Run runs iupkg on this machine with the publisher's keys and returns what it
// wrote to standard output.
func (p *Publisher) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, p.IUPkg(), args...)
	cmd.Env = append(os.Environ(), "IUPKG_KEYS="+filepath.Join(p.Dir, "keys"))
	var messages bytes.Buffer
	cmd.Stderr = &messages
	p.Say("$ iupkg %s", strings.Join(args, " "))
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("iupkg %s: %w\n%s", args[0], err, messages.String())
	}
	return string(out), nil
}

// Start makes an empty registry and new keys. Stop ends what it started.
func (p *Publisher) Start(ctx context.Context) error {
	for _, old := range []string{"registry", "keys"} {
		if err := os.RemoveAll(filepath.Join(p.Dir, old)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return err
	}
	if err := p.serve(ctx); err != nil {
		return err
	}
	if _, err := p.Run(ctx, "key", "new", Key); err != nil {
		return err
	}
	trust, err := p.Run(ctx, "key", "show", Key, "--public")
	if err != nil {
		return err
	}
	return os.WriteFile(p.TrustFile(), []byte(trust), 0o644)
}

// Stop ends the registry.
func (p *Publisher) Stop() error {
	if p.stop == nil {
		return nil
	}
	return p.stop()
}

func (p *Publisher) serve(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.IUPkg(), "registry", "serve", filepath.Join(p.Dir, "registry"), "--addr", "127.0.0.1:0", "--json")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	logFile, err := os.Create(filepath.Join(p.Dir, "registry.log"))
	if err != nil {
		return err
	}
	defer logFile.Close()
	cmd.Stderr = logFile
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.stop = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return cmd.Wait()
	}
	var ready struct {
		Address string `json:"address"`
	}
	// One document, which may be spread over lines.
	lines := bufio.NewReader(out)
	if err := json.NewDecoder(lines).Decode(&ready); err != nil {
		return fmt.Errorf("the registry did not start: %w (%s)", err, logFile.Name())
	}
	go io.Copy(io.Discard, lines)
	p.port = ready.Address[strings.LastIndexByte(ready.Address, ':')+1:]
	return nil
}

// Publish builds the project in dir and publishes it.
func (p *Publisher) Publish(ctx context.Context, dir string) error {
	out, err := p.Run(ctx, "publish", dir, "--key", Key, "--registry", p.Registry(), "--no-progress")
	p.Say("  %s", strings.TrimSpace(out))
	return err
}

// CopyProject copies the project in dir (relative to the repository) to name
// below the publisher's folder and applies edits, text for text, to its
// iupkg.toml.
func (p *Publisher) CopyProject(dir, name string, edits map[string]string) (string, error) {
	from, to := filepath.Join(p.Src, dir), filepath.Join(p.Dir, name)
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		path := filepath.Join(from, e.Name())
		switch {
		case e.Name() == "target":
		case e.IsDir():
			err = os.CopyFS(filepath.Join(to, e.Name()), os.DirFS(path))
		default:
			var b []byte
			if b, err = os.ReadFile(path); err == nil {
				err = os.WriteFile(filepath.Join(to, e.Name()), b, 0o644)
			}
		}
		if err != nil {
			return "", err
		}
	}
	if err := p.repointCrate(filepath.Join(to, "Cargo.toml")); err != nil {
		return "", err
	}
	return to, rewrite(filepath.Join(to, "iupkg.toml"), edits)
}

var cratePath = regexp.MustCompile(`path = "(\.\./)+(runtime-crate/)?iu"`)

// repointCrate points to the copy of the crate iu that bin/iupkg was built with.
func (p *Publisher) repointCrate(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !cratePath.Match(b) {
		return fmt.Errorf("%s does not depend on the crate iu by a relative path", path)
	}
	to := fmt.Sprintf("path = %q", filepath.Join(p.Src, "lib", "iupkg", "crate", "iu"))
	return os.WriteFile(path, cratePath.ReplaceAllLiteral(b, []byte(to)), 0o644)
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

// Guest runs iupkg in a machine, with this publisher's registry.
func (p *Publisher) Guest(ctx context.Context, m *vm.Machine, args ...string) (vm.Result, error) {
	argv := []string{p.IUPkg(), "--registry", p.GuestRegistry(), "--no-progress"}
	return m.Run(ctx, append(argv, args...)...)
}
