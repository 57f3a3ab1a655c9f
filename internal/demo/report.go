// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
)

// report is the file of figures, in the shape that all of the project's share.
type report struct {
	Schema  int      `json:"schema"`
	Project string   `json:"project"`
	Kernel  string   `json:"kernel"`
	Results []result `json:"results"`
}

type result struct {
	Name     string   `json:"name"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit"`
	Baseline *float64 `json:"baseline,omitempty"`
	Ratio    *float64 `json:"ratio,omitempty"`
}

func newReport(src string) *report {
	project := "unknown"
	cmd := exec.Command("git", "describe", "--always", "--dirty", "--tags")
	cmd.Dir = src
	if out, err := cmd.Output(); err == nil {
		project = strings.TrimSpace(string(out))
	}
	return &report{Schema: 1, Project: project}
}

func (r *report) add(name string, value float64, unit string) {
	r.Results = append(r.Results, result{Name: name, Value: value, Unit: unit})
}

// compare adds a figure beside the same work without the extension.
func (r *report) compare(name string, value, baseline float64, unit string) {
	ratio := value / baseline
	r.Results = append(r.Results, result{Name: name, Value: value, Unit: unit, Baseline: &baseline, Ratio: &ratio})
}

func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
