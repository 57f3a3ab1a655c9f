// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/kernel"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status [NAME]",
		Short:   "What runs: counters, faults and where in the source they came from",
		GroupID: groupPackages,
		Args:    atMostOneArg,
		RunE:    func(_ *cobra.Command, args []string) error { return a.status(args) },
	}
}

// packageStatus joins what the store and the kernel say of one name.
type packageStatus struct {
	Name      string          `json:"name"`
	Version   string          `json:"version"`
	Installed bool            `json:"installed"`
	Loaded    bool            `json:"loaded"`
	Publisher string          `json:"publisher,omitempty"`
	Digest    string          `json:"digest,omitempty"`
	Module    string          `json:"module,omitempty"`
	Bytes     uint64          `json:"imageBytes,omitempty"`
	Problem   string          `json:"problem,omitempty"`
	Programs  []programStatus `json:"programs,omitempty"`
	Maps      []kernel.Map    `json:"maps,omitempty"`
}

type programStatus struct {
	Name      string            `json:"name"`
	Hook      string            `json:"hook"`
	At        string            `json:"at,omitempty"` // "eth0 native"
	State     string            `json:"state"`        // running, disabled, idle
	Runs      uint64            `json:"runs"`
	Faults    map[string]uint64 `json:"faults"` // by cause
	Last      *faultStatus      `json:"lastFault,omitempty"`
	OnFault   string            `json:"onFault"`
	MaxFaults uint32            `json:"maxFaults,omitempty"`
	Stack     uint32            `json:"stack,omitempty"`
}

type faultStatus struct {
	Cause      string  `json:"cause"`
	CPU        int     `json:"cpu"`
	SecondsAgo float64 `json:"secondsAgo"`
	File       string  `json:"file,omitempty"`
	Line       int     `json:"line,omitempty"`
	Column     int     `json:"column,omitempty"`
	Offset     uint64  `json:"offset"`
}

func (f *faultStatus) String() string {
	at := fmt.Sprintf("at .text+%#x", f.Offset)
	if f.Line > 0 {
		at = fmt.Sprintf("at %s:%d:%d", f.File, f.Line, f.Column)
	}
	return fmt.Sprintf("%s %s, CPU %d, %s ago", f.Cause, at, f.CPU, time.Duration(f.SecondsAgo*float64(time.Second)).Round(100*time.Millisecond))
}

func (a *app) status(names []string) error {
	pkgs, err := a.installed(names)
	if err != nil {
		return err
	}
	loaded, err := kernel.List()
	noRuntime := errors.Is(err, kernel.ErrNoRuntime)
	if err != nil && !noRuntime {
		return err
	}
	now := monotonic()
	all := []packageStatus{}
	for i := range pkgs {
		all = append(all, a.join(&pkgs[i], loaded, noRuntime, now))
	}
	if len(names) == 0 {
		for i := range loaded {
			x := &loaded[i]
			if !slices.ContainsFunc(pkgs, func(p install.Package) bool { return p.Name == x.Name }) {
				s := packageStatus{Name: x.Name, Version: x.Version, Problem: "loaded, but not installed in " + a.rootDir}
				s.fill(x, nil, now)
				all = append(all, s)
			}
		}
	}
	return a.ui.answer(all, func(w io.Writer) {
		if len(all) == 0 {
			a.ui.step("nothing is installed")
		}
		for i := range all {
			if i > 0 {
				fmt.Fprintln(w)
			}
			all[i].write(w)
		}
	})
}

func (a *app) join(p *install.Package, loaded []kernel.Status, noRuntime bool, now time.Duration) packageStatus {
	s := packageStatus{Name: p.Name, Version: p.Version, Installed: true, Publisher: p.Signer.Publisher, Digest: p.Digest}
	i := slices.IndexFunc(loaded, func(x kernel.Status) bool { return x.Name == p.Name })
	switch {
	case noRuntime:
		s.Problem = "not loaded: iu.ko is not, iupkg setup loads it"
	case i < 0:
		s.Problem = "not loaded"
	default:
		s.fill(&loaded[i], a.root().Record(p.Name), now)
		if found := fmt.Sprintf("sha256:%x", loaded[i].Digest); found != p.Object {
			s.Problem = fmt.Sprintf("the kernel has another object (%s %s)", loaded[i].Version, short(found))
		}
	}
	return s
}

func (s *packageStatus) fill(x *kernel.Status, rec *kernel.Loaded, now time.Duration) {
	s.Loaded, s.Module, s.Bytes = true, x.Module, x.ImageBytes
	at := map[string]string{}
	if rec != nil {
		s.Maps = rec.Maps
		for _, p := range rec.Programs {
			at[p.Name] = linkText(p.Link)
		}
	}
	for i := range x.Programs {
		p := &x.Programs[i]
		out := programStatus{
			Name: p.Name, Hook: string(p.Hook), At: at[p.Name], State: stateOf(p),
			Runs: p.Runs, Faults: p.Faults, OnFault: p.OnFault, MaxFaults: p.MaxFaults, Stack: p.Stack,
		}
		if f := p.Last; f != nil {
			out.Last = &faultStatus{
				Cause: f.Cause, CPU: f.CPU, SecondsAgo: (now - f.Since).Seconds(),
				File: f.File, Line: f.Line, Column: f.Col, Offset: f.Offset,
			}
		}
		s.Programs = append(s.Programs, out)
	}
}

func (s *packageStatus) write(w io.Writer) {
	fmt.Fprintf(w, "%s %s", s.Name, s.Version)
	if s.Publisher != "" {
		fmt.Fprintf(w, ", signed by %s", s.Publisher)
	}
	if s.Loaded {
		fmt.Fprintf(w, ", module %s, %s", s.Module, size(int64(s.Bytes)))
	}
	fmt.Fprintln(w)
	if s.Problem != "" {
		fmt.Fprintf(w, "  %s\n", s.Problem)
	}
	if len(s.Programs) == 0 {
		return
	}
	var rows []string
	for _, p := range s.Programs {
		rows = append(rows, "  "+row(p.Name, p.Hook, p.At, p.State, p.Runs, faultsText(p.Faults)))
	}
	table(w, "  PROGRAM\tHOOK\tAT\tSTATE\tRUNS\tFAULTS", rows...)
	for _, p := range s.Programs {
		if p.Last != nil {
			fmt.Fprintf(w, "  last fault of %s: %s\n", p.Name, p.Last)
		}
		if p.State == "disabled" {
			fmt.Fprintf(w, "  %s was disabled after %s and returns %s\n", p.Name, count(int(p.MaxFaults), "fault"), p.OnFault)
		}
	}
}

func stateOf(p *kernel.ProgramStatus) string {
	switch {
	case p.Disabled:
		return "disabled"
	case !p.Attached:
		return "idle"
	}
	return "running"
}

// faultsText is "0", or "3 (2 panic, 1 budget)".
func faultsText(faults map[string]uint64) string {
	var total uint64
	var parts []string
	for _, cause := range slices.Sorted(maps.Keys(faults)) {
		total += faults[cause]
		parts = append(parts, fmt.Sprintf("%d %s", faults[cause], cause))
	}
	if total == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", total, strings.Join(parts, ", "))
}

func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
