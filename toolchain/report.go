// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"encoding/json"
	"fmt"
)

// passReport is what iu-pass.so says of the program (llvm/README.md).
type passReport struct {
	Schema    int              `json:"schema"`
	Functions []reportFunction `json:"functions"`
	Programs  []struct {
		Name  string `json:"name"`
		Entry string `json:"entry"`
	} `json:"programs"`
	Maps   []reportMap   `json:"maps"`
	Relocs []reportReloc `json:"relocs"`
}

type reportFunction struct {
	Symbol       string   `json:"symbol"`
	Name         string   `json:"name"` // demangled
	File         string   `json:"file"`
	Line         int      `json:"line"`
	Calls        []string `json:"calls"`
	Indirect     bool     `json:"indirect"`
	AddressTaken bool     `json:"addressTaken"`
	Align        uint64   `json:"align"` // of its frame, where above the stack's own
	StackCheck   bool     `json:"stackCheck"`
	EntryPoll    bool     `json:"entryPoll"`
	Recursive    bool     `json:"recursive"`

	Loops []LoopExplanation `json:"loops"`
}

func parseReport(b []byte) (*passReport, error) {
	var r passReport
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("the pass's report: %w", err)
	}
	if r.Schema != 1 {
		return nil, fmt.Errorf("the pass's report: schema %d", r.Schema)
	}
	return &r, nil
}

// mergeReport adds frames and bounds to the pass's report.
func mergeReport(pass []byte, frames map[string]uint64, stacks map[string]uint32) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(pass, &all); err != nil {
		return nil, err
	}
	stack, err := json.Marshal(map[string]any{"frames": frames, "programs": stacks, "limit": stackSize - stackReserve})
	if err != nil {
		return nil, err
	}
	all["stack"] = stack
	out, err := json.MarshalIndent(all, "", "  ")
	return append(out, '\n'), err
}
