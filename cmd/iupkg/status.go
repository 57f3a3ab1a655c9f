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
	Signer    string          `json:"kernelSigner,omitempty"` // whose certificate the kernel went by
	Module    string          `json:"module,omitempty"`
	Bytes     uint64          `json:"imageBytes,omitempty"`
	Problem   string          `json:"problem,omitempty"`
	Programs  []programStatus `json:"programs,omitempty"`
	Maps      []kernel.Map    `json:"maps,omitempty"`
	// Counters are those that the manifest names, by map.
	Counters map[string][]kernel.Counter `json:"counters,omitempty"`
}

type programStatus struct {
	Name      string            `json:"name"`
	Hook      string            `json:"hook"`
	At        string            `json:"at,omitempty"` // "eth0 native"
	State     string            `json:"state"`        // running, disabled, paused, idle
	Runs      uint64            `json:"runs"`
	Skipped   uint64            `json:"skipped,omitempty"` // calls while disabled or paused
	Seconds   float64           `json:"seconds,omitempty"` // in runs, while they were timed
	Faults    map[string]uint64 `json:"faults"`            // by cause
	Last      *faultStatus      `json:"lastFault,omitempty"`
	OnFault   string            `json:"onFault"`
	MaxFaults uint32            `json:"maxFaults,omitempty"`
	Window    float64           `json:"faultWindowSeconds,omitempty"` // that MaxFaults are counted in
	Budget    float64           `json:"budgetSeconds"`
	Stack     uint32            `json:"stack,omitempty"` // proven bound; absent: checked as it runs
}

type faultStatus struct {
	Cause      string  `json:"cause"`
	CPU        int     `json:"cpu"`
	SecondsAgo float64 `json:"secondsAgo"`
	File       string  `json:"file,omitempty"`
	Line       int     `json:"line,omitempty"`
	Column     int     `json:"column,omitempty"`
	Offset     uint64  `json:"offset"`
	// Calls are the program's own that led there, as offsets; Source are the lines of both.
	Calls  []uint64 `json:"calls,omitempty"`
	Source []string `json:"source,omitempty"`
}

func (f *faultStatus) String() string {
	at := fmt.Sprintf("at .text+%#x", f.Offset)
	if len(f.Source) > 0 {
		at = "at " + f.Source[0]
	}
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
	now, source := monotonic(), a.newSources()
	all := []packageStatus{}
	for i := range pkgs {
		s := a.join(&pkgs[i], loaded, noRuntime, now)
		if s.Problem == "" { // the kernel has what the debug data is of
			s.addSource(source)
		}
		all = append(all, s)
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
	s.Loaded, s.Module, s.Bytes, s.Signer = true, x.Module, x.ImageBytes, x.Signer
	at := map[string]string{}
	if rec != nil {
		s.Maps = rec.Maps
		for i := range rec.Maps {
			list, err := rec.Maps[i].ReadCounters()
			switch {
			case err != nil:
				s.Problem = err.Error()
			case list != nil && s.Counters == nil:
				s.Counters = map[string][]kernel.Counter{}
				fallthrough
			case list != nil:
				s.Counters[rec.Maps[i].Name] = list
			}
		}
		for _, p := range rec.Programs {
			at[p.Name] = linkText(p.Link)
		}
	}
	for i := range x.Programs {
		p := &x.Programs[i]
		out := programStatus{
			Name: p.Name, Hook: string(p.Hook), At: at[p.Name], State: stateOf(p),
			Runs: p.Runs, Faults: p.Faults, OnFault: p.OnFault, MaxFaults: p.MaxFaults, Stack: p.Stack,
			Skipped: p.Skipped, Seconds: p.Time.Seconds(), Window: p.Window.Seconds(), Budget: p.Budget.Seconds(),
		}
		if f := p.Last; f != nil {
			out.Last = &faultStatus{
				Cause: f.Cause, CPU: f.CPU, SecondsAgo: (now - f.Since).Seconds(),
				File: f.File, Line: f.Line, Column: f.Col, Offset: f.Offset, Calls: f.Chain,
			}
		}
		s.Programs = append(s.Programs, out)
	}
}

// addSource says where in the source the last faults were.
func (s *packageStatus) addSource(source *sources) {
	for i := range s.Programs {
		if f := s.Programs[i].Last; f != nil && f.Offset > 0 {
			f.Source = source.chain(s.Name, append([]uint64{f.Offset}, f.Calls...))
		}
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
	for _, m := range s.Maps {
		var parts []string
		for _, c := range s.Counters[m.Name] {
			parts = append(parts, fmt.Sprintf("%s %d", c.Name, c.Value))
		}
		if parts != nil {
			fmt.Fprintf(w, "  %s: %s\n", m.Name, strings.Join(parts, ", "))
		}
	}
	for _, p := range s.Programs {
		if p.Last != nil {
			fmt.Fprintf(w, "  last fault of %s: %s\n", p.Name, p.Last)
			for i, at := range p.Last.Source {
				if i > 0 {
					fmt.Fprintf(w, "    called at %s\n", at)
				}
			}
		}
		if p.State == "disabled" {
			fmt.Fprintf(w, "  %s was disabled after %s and returns %s: %s so far\n", p.Name, count(int(p.MaxFaults), "fault"), p.OnFault, count(int(p.Skipped), "time"))
		}
		if p.State == "paused" {
			fmt.Fprintf(w, "  %s has had %s in %gs and returns %s until these are over\n", p.Name, count(int(p.MaxFaults), "fault"), p.Window, p.OnFault)
		}
	}
}

func stateOf(p *kernel.ProgramStatus) string {
	switch {
	case p.Disabled:
		return "disabled"
	case p.Paused:
		return "paused"
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
