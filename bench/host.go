// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A hostMeasure measures whole processes of bin/iupkg on this machine, wall time
// and all: what hangs on the machine that it runs on, unlike what the guests count.
// It may use dir, which is empty, for its files.
type hostMeasure func(ctx context.Context, dir string) ([]result, error)

// hostMeasures are all of them, by the name that -only takes.
var hostMeasures = []struct {
	name string
	run  hostMeasure
}{
	{"resolve", measureResolve},
	{"peers", measurePeers},
	{"install", measureInstall},
	{"supply", measureSupply},
	{"bmc", measureBMC},
}

// iupkg is the program that is measured.
const iupkg = "bin/iupkg"

// hostRuns is how often each process is run, after one run that does not count.
const hostRuns = 15

// process is what the runs of one command took.
type process struct {
	ms, cpu float64 // medians, milliseconds
	peak    float64 // greatest, MiB
}

// runs runs a command hostRuns times, which must exit with 0, and returns what it
// took and what the last one wrote to standard output.
func runs(ctx context.Context, argv ...string) (p process, out []byte, err error) {
	var wall, cpu []float64
	for i := range hostRuns + 1 {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		began := time.Now()
		out, err = cmd.Output()
		took := time.Since(began)
		if err != nil {
			return p, nil, fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, stderr.String())
		}
		if i == 0 {
			continue
		}
		wall = append(wall, ms(took))
		cpu = append(cpu, ms(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()))
		if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			p.peak = max(p.peak, float64(u.Maxrss)/1024)
		}
	}
	p.ms, p.cpu = median(wall), median(cpu)
	return p, out, nil
}

func ms(d time.Duration) float64 { return math.Round(float64(d.Microseconds())/10) / 100 }

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// results names what a process took.
func (p process) results(name string) []result {
	return []result{
		{Name: name, Value: p.ms, Unit: "ms"},
		{Name: name + ".cpu", Value: p.cpu, Unit: "ms"},
		{Name: name + ".rss", Value: math.Round(p.peak*10) / 10, Unit: "MiB"},
	}
}

// measureHost runs the measures that only names, all of them if it is "host" or
// empty. Those already taken of other things stay in the report.
func (r *report) measureHost(ctx context.Context, dir, only string) error {
	ran := false
	for _, m := range hostMeasures {
		// That of bmc boots a machine of its own, so it is not the host's alone.
		if m.name == "bmc" && only == "host" || only != "" && only != "host" && only != m.name {
			continue
		}
		ran = true
		say("%s", m.name)
		dir, err := os.MkdirTemp(dir, m.name+"-")
		if err != nil {
			return err
		}
		list, err := m.run(ctx, dir)
		err = errors.Join(err, os.RemoveAll(dir))
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		r.put(list...)
	}
	if !ran {
		return fmt.Errorf("there is nothing to measure named %q", only)
	}
	return nil
}

// put adds results in the place of those of the same names.
func (r *report) put(list ...result) {
	for _, f := range list {
		if i := slices.IndexFunc(r.Results, func(o result) bool { return o.Name == f.Name }); i >= 0 {
			r.Results[i] = f
		} else {
			r.Results = append(r.Results, f)
		}
	}
}

// earlier is the report that is there already, for what is not measured now.
func earlier(ctx context.Context, path string) (*report, error) {
	now := newReport(ctx)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return now, nil
	}
	if err != nil {
		return nil, err
	}
	r := newReport(ctx)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r.Project = now.Project
	return r, nil
}
