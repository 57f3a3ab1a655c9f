// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed system
var systemFiles embed.FS

const restoreUnit = "iupkg-restore.service"

// service is one file that setup puts into the system, from system/.
type service struct {
	file, path string
	mode       fs.FileMode
	// needs is a folder of the system without which the file would be of no use.
	needs string
}

var services = []service{
	{restoreUnit, "/etc/systemd/system/" + restoreUnit, 0o644, "/etc/systemd/system"},
	{"kernel-postinst", "/etc/kernel/postinst.d/zz-iupkg", 0o755, "/etc/kernel/postinst.d"},
	{"kernel-postinst", "/etc/kernel/header_postinst.d/zz-iupkg", 0o755, "/etc/kernel"},
	{"kernel-postrm", "/etc/kernel/postrm.d/zz-iupkg", 0o755, "/etc/kernel"},
}

// unitLink is what systemctl enable makes.
const unitLink = "/etc/systemd/system/multi-user.target.wants/" + restoreUnit

// content fills in where this iupkg and its state are.
func (a *app) content(s *service) ([]byte, error) {
	text, err := systemFiles.ReadFile("system/" + s.file)
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	root, err := filepath.Abs(a.rootDir)
	if err != nil {
		return nil, err
	}
	flags := " --root " + root
	if a.configPath != defaultConfig {
		config, err := filepath.Abs(a.configPath)
		if err != nil {
			return nil, err
		}
		flags += " --config " + config
	}
	for _, path := range []string{exe, flags} {
		if strings.ContainsAny(path, "\"'\\$%\n@") {
			return nil, fmt.Errorf("%q cannot stand in a unit file", path)
		}
	}
	return []byte(strings.NewReplacer("@IUPKG@", exe, "@ROOT@", root, "@FLAGS@", flags).Replace(string(text))), nil
}

// missing says whether a service is not there as it should be; no if the system
// has no use for it.
func (a *app) missing(s *service) (bool, error) {
	if _, err := os.Stat(s.needs); err != nil {
		return false, nil
	}
	want, err := a.content(s)
	if err != nil {
		return false, err
	}
	have, err := os.ReadFile(s.path)
	return err != nil || !bytes.Equal(have, want), nil
}

// installServices puts in place what loads extensions at boot and what is run when
// a kernel is installed. It returns what it has written.
func (a *app) installServices(ctx context.Context) ([]string, error) {
	wrote := []string{}
	for i := range services {
		s := &services[i]
		if missing, err := a.missing(s); err != nil || !missing {
			if err != nil {
				return wrote, err
			}
			continue
		}
		text, err := a.content(s)
		if err != nil {
			return wrote, err
		}
		if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
			return wrote, err
		}
		tmp := filepath.Join(filepath.Dir(s.path), ".iupkg.tmp") // run-parts and systemd pass over it
		if err := os.WriteFile(tmp, text, s.mode); err != nil {
			return wrote, err
		}
		if err := errors.Join(os.Chmod(tmp, s.mode), os.Rename(tmp, s.path)); err != nil {
			return wrote, err
		}
		wrote = append(wrote, s.path)
	}
	if _, err := os.Stat("/etc/systemd/system"); err != nil {
		return wrote, nil
	}
	if _, err := os.Lstat(unitLink); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(unitLink), 0o755); err != nil {
			return wrote, err
		}
		if err := os.Symlink("../"+restoreUnit, unitLink); err != nil {
			return wrote, err
		}
		wrote = append(wrote, unitLink)
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil && len(wrote) > 0 {
		if out, err := exec.CommandContext(ctx, "systemctl", "daemon-reload").CombinedOutput(); err != nil {
			return wrote, fmt.Errorf("systemctl daemon-reload: %w: %s", err, lastLines(string(out), 3))
		}
	}
	return wrote, nil
}
