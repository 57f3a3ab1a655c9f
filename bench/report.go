// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/iupkg/iupkg/bench/wire"
	"github.com/iupkg/iupkg/internal/marked"
)

// report is the file of figures, in the shape that all of the project's share.
type report struct {
	Schema  int      `json:"schema"`
	Project string   `json:"project"`
	Kernel  string   `json:"kernel"`
	Results []result `json:"results"`
	// Machines says what the figures depend on, by kernel.
	Machines map[string]map[string]string `json:"machines"`
}

type result struct {
	Name     string   `json:"name"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit"`
	Baseline *float64 `json:"baseline,omitempty"`
	Ratio    *float64 `json:"ratio,omitempty"`
	// Boots are the values of all boots where they differ; Value is the least.
	Boots []float64 `json:"boots,omitempty"`
}

func newReport(ctx context.Context) *report {
	r := &report{Schema: 1, Project: "unknown", Machines: map[string]map[string]string{}}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--tags").Output(); err == nil {
		r.Project = strings.TrimSpace(string(out))
	}
	return r
}

// add takes in the boots of one kernel, which have the same figures in the same order.
func (r *report) add(suffix string, boots []*wire.Report) {
	release := boots[0].Machine["osrelease"]
	r.Kernel = strings.TrimPrefix(r.Kernel+", "+release, ", ")
	r.Machines[release] = boots[0].Machine
	for i, f := range boots[0].Figures {
		out := result{Name: f.Name + suffix, Unit: f.Unit, Baseline: f.Baseline}
		for _, b := range boots {
			out.Boots = append(out.Boots, b.Figures[i].Value)
		}
		out.Value = slices.Min(out.Boots)
		if slices.Max(out.Boots) == out.Value {
			out.Boots = nil
		}
		if f.Baseline != nil {
			ratio := math.Round(out.Value / *f.Baseline * 1e4) / 1e4
			out.Ratio = &ratio
		}
		r.put(out)
	}
}

// approximate are the figures that hang on what a machine does beside the
// measurement; each with how far its boots may lie apart.
var approximate = map[string]float64{
	"load.extension":         0.1,
	"load.extension.elapsed": 0.5,
	"memory.extension":       0.5,
}

// overrun is what its figures may lie apart, ms: they hang on where in a loop the clock is looked at.
const overrun = "termination.overrun.p99"

// targets are the most that a figure may be, on every kernel. docs/evaluation.md says why.
var targets = map[string]float64{
	"dispatch.empty.noswitch.extra": 20,
	"dispatch.empty.switch.extra":   40,
	"guard.poll":                    2,
	"guard.stack":                   4,
	"panic.to_return":               600,
	"load.extension":                8_000_000,
	"memory.extension":              128,
	overrun:                         1,
}

// ratioTargets are the most, and leastRatios the least, that a figure may be of its baseline.
var (
	ratioTargets = map[string]float64{"bmc.get.hit": 0.80, "bmc.get.memcached": 0.15, "install.warm": 3}
	leastRatios  = map[string]float64{"bmc.load.hit90": 3}
)

// ratioTarget is what a figure's ratio must be, and whether it is; "" where there is no such target.
func (f result) ratioTarget() (want string, met bool) {
	if f.Ratio == nil {
		return "", true
	}
	if most, ok := ratioTargets[f.Name]; ok {
		return fmt.Sprintf("at most %.2f of it", most), *f.Ratio <= most
	}
	if least, ok := leastRatios[f.Name]; ok {
		return fmt.Sprintf("at least %g times it", least), *f.Ratio >= least
	}
	return "", true
}

// target is that of a figure of any kernel.
func (f result) target() (float64, bool) {
	for name, most := range targets {
		if rest, ok := strings.CutPrefix(f.Name, name); ok && (rest == "" || rest[0] == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9') {
			return most, true
		}
	}
	return 0, false
}

// missed fails if a figure is above its target.
func (r *report) missed() error {
	var all error
	for _, f := range r.Results {
		if most, ok := f.target(); ok && f.Value > most {
			all = errors.Join(all, fmt.Errorf("%s is %s %s, the target is %s", f.Name, show(f.Value), f.Unit, show(most)))
		}
		if want, met := f.ratioTarget(); !met {
			all = errors.Join(all, fmt.Errorf("%s is %.2f of its baseline, the target is %s", f.Name, *f.Ratio, want))
		}
	}
	return all
}

// agree fails if two boots differ where they must not.
func agree(kernel string, boots []*wire.Report) error {
	var all error
	for _, b := range boots[1:] {
		for i, f := range b.Figures {
			first := boots[0].Figures[i]
			apart := math.Abs(f.Value-first.Value) / max(math.Abs(first.Value), 1)
			allowed := approximate[f.Name]
			if strings.HasPrefix(f.Name, overrun) {
				allowed = 0.2
			}
			if apart > allowed || f.Baseline != nil && *f.Baseline != *first.Baseline {
				all = errors.Join(all, fmt.Errorf("%s: %s is %v in one boot and %v in another", kernel, f.Name, show(first.Value), show(f.Value)))
			}
		}
	}
	return all
}

func show(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }

func (f result) String() string {
	s := fmt.Sprintf("%-34s %10s %s", f.Name, show(f.Value), f.Unit)
	if f.Baseline != nil {
		s += fmt.Sprintf(" (baseline %s)", show(*f.Baseline))
	}
	if f.Boots != nil {
		s += fmt.Sprintf(" boots %v", f.Boots)
	}
	return s
}

// updateDocument writes the figures between the markers of a document, and draws them beside it.
func (r *report) updateDocument(path string) error {
	for _, s := range sections {
		if table := s.table(r); table != nil {
			if err := marked.Write(path, s.marker, table); err != nil {
				return err
			}
		}
	}
	return r.drawFigures(filepath.Join(filepath.Dir(path), "figures"))
}

// mitigations lists those in force, of all kernels.
func (r *report) mitigations() string {
	var all []string
	for _, m := range r.Machines {
		for name, state := range m {
			if strings.HasPrefix(state, "Mitigation: ") {
				all = append(all, name+" ("+strings.TrimPrefix(state, "Mitigation: ")+")")
			}
		}
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ";\n")
}
