// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/resolve"
)

// env is what transactions on the running kernel work with. k may be nil where
// nothing new can come in.
func (a *app) env(k manifest.Kernel) (*install.Env, error) {
	policy, err := a.policy()
	if err != nil {
		return nil, err
	}
	env := &install.Env{Policy: policy, Report: a.report}
	if env.Release, err = kernelRelease(); err != nil {
		return nil, err
	}
	live := install.Live{}
	switch file, err := a.runtimeFile(env.Release); {
	case err == nil:
		if live.Runtime, err = os.ReadFile(file); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist): // without it nothing can be loaded, but removed
		return nil, err
	}
	env.Kernel = live
	if k != nil {
		env.Check = resolve.On(k).Check
	}
	if !a.offline && a.registry != "" {
		sources, err := a.sources()
		if err != nil {
			return nil, err
		}
		source := registrySource{a: a, sources: sources}
		if k != nil && k.ModulesSigned() == manifest.Yes {
			source.signedFor = k.Uname().Release
		}
		env.Source = source
	}
	return env, nil
}

// report says what a transaction has done.
func (a *app) report(e install.Event) {
	u := a.ui
	switch e.Kind {
	case install.EventFetched:
		if e.Blobs == 0 {
			u.step("%s %s is in the store", e.Name, e.Version)
			return
		}
		u.step("fetched %s %s: %s (%s)", e.Name, e.Version, count(e.Blobs, "blob"), size(e.Bytes))
	case install.EventProgress:
		u.workingAt(e.Bytes, e.Total, "fetching %s %s: %s", e.Name, e.Version, size(e.Bytes))
	case install.EventVerified:
		u.step("verified %s %s: signed by %s (%s), kernel signature holds", e.Name, e.Version, e.Verdict.Publisher, shortKeys(e.Verdict.KeyIDs))
		if p := e.Verdict.Provenance; p != nil {
			u.step("  built by %s%s", p.Builder, prefixed(" from ", p.Source))
		}
	case install.EventLoaded, install.EventReplaced:
		verb := "loaded"
		if e.Kind == install.EventReplaced {
			verb = "replaced, now"
		}
		u.step("%s %s %s%s", verb, e.Name, e.Version, attachments(e.Loaded))
		for _, m := range e.Loaded.Maps {
			u.more("  map %s: id %d, pinned at %s", m.Name, m.ID, m.Pin)
			if m.Copied > 0 {
				u.step("  map %s is of another shape: %s copied", m.Name, count(m.Copied, "entry"))
			}
		}
	case install.EventUnloaded:
		u.step("unloaded %s %s", e.Name, e.Version)
	case install.EventNotice:
		text := e.Text
		if e.Name != "" {
			text = e.Name + ": " + text
		}
		u.warn("%s", text)
	}
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func shortKeys(ids []string) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = short(id)
	}
	return strings.Join(s, ", ")
}

// attachments is ", attached rx (xdp eth0 native), tx (tc eth0 egress)".
func attachments(l *kernel.Loaded) string {
	var parts []string
	for _, p := range l.Programs {
		if where := linkText(p.Link); where != "" {
			parts = append(parts, fmt.Sprintf("%s (%s %s)", p.Name, p.Hook, where))
		}
	}
	if len(parts) == 0 {
		return ", attached nowhere"
	}
	return ", attached " + strings.Join(parts, ", ")
}

// linkText is where a link is: "eth0 native", "eth0 egress".
func linkText(l *kernel.Link) string {
	if l == nil {
		return ""
	}
	return strings.Join(strings.Fields(l.Interface+" "+l.Where+" "+l.Mode+" "+l.Direction), " ")
}

// pinned is what is installed, as the resolver wants it.
func (a *app) pinned(g *install.Generation) ([]resolve.Pinned, error) {
	root := a.root()
	var out []resolve.Pinned
	for i := range g.Packages {
		p := &g.Packages[i]
		m, err := root.Manifest(p)
		if err != nil {
			return nil, withHint(err, "iupkg verify %s fetches it again", p.Name)
		}
		constraint, err := manifest.ParseConstraint(p.Constraint)
		if err != nil {
			return nil, err
		}
		out = append(out, resolve.Pinned{
			Constraint: constraint, Enabled: p.Features, Provides: m.Provides, Features: m.Features,
			Name: p.Name, Version: p.Version, Digest: p.Digest, Auto: p.Auto,
			Requires: requirements(m), Dependencies: m.Dependencies, Conflicts: m.Conflicts,
		})
	}
	return out, nil
}

func requirements(m *manifest.Manifest) manifest.Requirements {
	r := m.Requires
	r.Arch = m.Arch
	return r
}

// needRuntime refuses early what needs iu.ko.
func needRuntime() error {
	d, err := kernel.OpenDevice()
	if err != nil {
		return err
	}
	return d.Close()
}
