// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/kernel"
)

func (a *app) topCommand() *cobra.Command {
	var n int
	var interval time.Duration
	var timing bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Which programs run most, live",
		Long: "Show how often each program ran and faulted per second, the busiest first, again and\n" +
			"again: on a terminal in place, else one table after another. With --json it is one sample.",
		Example: "  iupkg top\n  iupkg top -n 1 --interval 5s",
		GroupID: groupPackages,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 0 || interval < 10*time.Millisecond {
				return usagef("want -n 0 or more, and --interval 10ms or more")
			}
			if a.ui.json {
				n = 1
			}
			return a.top(cmd.Context(), n, interval, timing)
		},
	}
	cmd.Flags().IntVarP(&n, "iterations", "n", 0, "end after this `number` of samples; 0: when interrupted")
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "`time` between samples")
	cmd.Flags().BoolVarP(&timing, "time", "t", false, "have the runtime time every run meanwhile, which costs each two looks at the clock")
	return cmd
}

// topRow is one program in one sample.
type topRow struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Program string  `json:"program"`
	Hook    string  `json:"hook"`
	State   string  `json:"state"`
	Runs    uint64  `json:"runs"`
	Faults  uint64  `json:"faults"`
	RunRate float64 `json:"runsPerSecond"`
	BadRate float64 `json:"faultsPerSecond"`
	// With --time: mean of a run, and share of one processor.
	Nanoseconds float64 `json:"nanosecondsPerRun,omitempty"`
	Load        float64 `json:"load,omitempty"`
}

// topSample is what top says with --json.
type topSample struct {
	Seconds  float64  `json:"seconds"` // that the rates are over
	Programs []topRow `json:"programs"`
}

// timed switches timing on for what is loaded and was not timed; undo switches it off.
func timed() (undo func(), err error) {
	d, err := kernel.OpenDevice()
	if err != nil {
		return nil, err
	}
	var ids []uint32
	undo = func() {
		for _, id := range ids {
			_ = d.Timing(id, false) // it may be gone
		}
		d.Close()
	}
	for x, err := range d.Extensions() {
		if err != nil {
			undo()
			return nil, err
		}
		s, err := d.Status(x)
		if err == nil && len(s.Programs) > 0 && s.Programs[0].Timing {
			continue
		}
		if err == nil {
			err = d.Timing(x.ID, true)
		}
		if err != nil {
			undo()
			return nil, err
		}
		ids = append(ids, x.ID)
	}
	return undo, nil
}

func (a *app) top(ctx context.Context, n int, interval time.Duration, timing bool) error {
	if timing {
		undo, err := timed()
		if err != nil {
			return err
		}
		defer undo()
	}
	before, err := kernel.List()
	if err != nil {
		return err
	}
	since := time.Now()
	live := isTerminal(a.ui.out)
	for i := 0; n == 0 || i < n; i++ {
		select {
		case <-ctx.Done(): // how one leaves it
			return nil
		case <-time.After(interval):
		}
		after, err := kernel.List()
		if err != nil {
			return err
		}
		now := time.Now()
		sample := topSample{Seconds: now.Sub(since).Seconds()}
		sample.Programs = rates(before, after, sample.Seconds)
		before, since = after, now
		if a.ui.json {
			return a.ui.document(sample)
		}
		var page bytes.Buffer
		switch {
		case live: // from the upper left corner, and nothing below
			page.WriteString("\x1b[H\x1b[2J")
		case i > 0:
			page.WriteByte('\n')
		}
		fmt.Fprintln(&page, now.Format(time.TimeOnly))
		writeTop(&page, sample.Programs, timing)
		if _, err := a.ui.out.Write(page.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// rates compares two readings. A program that is of another extension than
// before, as after an upgrade, counts from zero.
func rates(before, after []kernel.Status, seconds float64) []topRow {
	type key struct {
		id      uint32
		program string
	}
	was := map[key]*kernel.ProgramStatus{}
	for i := range before {
		for j := range before[i].Programs {
			p := &before[i].Programs[j]
			was[key{before[i].ID, p.Name}] = p
		}
	}
	rows := []topRow{}
	for i := range after {
		x := &after[i]
		for j := range x.Programs {
			p := &x.Programs[j]
			r := topRow{Name: x.Name, Version: x.Version, Program: p.Name, Hook: string(p.Hook), State: stateOf(p), Runs: p.Runs, Faults: total(p.Faults)}
			var runs, faults uint64
			var spent time.Duration
			if w := was[key{x.ID, p.Name}]; w != nil && w.Runs <= p.Runs {
				runs, faults = w.Runs, min(total(w.Faults), r.Faults)
				spent = p.Time - w.Time
			}
			if spent > 0 && r.Runs > runs {
				r.Nanoseconds, r.Load = float64(spent.Nanoseconds())/float64(r.Runs-runs), spent.Seconds()/seconds
			}
			r.RunRate, r.BadRate = float64(r.Runs-runs)/seconds, float64(r.Faults-faults)/seconds
			rows = append(rows, r)
		}
	}
	slices.SortStableFunc(rows, func(a, b topRow) int {
		return cmp.Or(cmp.Compare(b.RunRate, a.RunRate), cmp.Compare(b.Runs, a.Runs), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Program, b.Program))
	})
	return rows
}

func total(faults map[string]uint64) uint64 {
	var sum uint64
	for _, n := range faults {
		sum += n
	}
	return sum
}

func writeTop(w io.Writer, rows []topRow, timing bool) {
	head, more := "RUNS/S\tFAULTS/S\tRUNS\tFAULTS\tSTATE\tHOOK\tPROGRAM", []any{}
	if timing {
		head = "NS/RUN\tCPU\t" + head
	}
	var lines []string
	for _, r := range rows {
		if timing {
			more = []any{fmt.Sprintf("%.0f", r.Nanoseconds), fmt.Sprintf("%.1f%%", 100*r.Load)}
		}
		lines = append(lines, row(append(more, fmt.Sprintf("%.1f", r.RunRate), fmt.Sprintf("%.1f", r.BadRate), r.Runs, r.Faults, r.State, r.Hook, r.Name+"/"+r.Program)...))
	}
	table(w, head, lines...)
}
