// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"time"

	"github.com/iupkg/iupkg/manifest"
)

// Status is a loaded extension and its programs, as the runtime sees them.
type Status struct {
	Extension
	Programs []ProgramStatus
}

// ProgramStatus has the counters of one program.
type ProgramStatus struct {
	Name      string
	Hook      manifest.Hook
	OnFault   string // the hook's name of the verdict, or its number
	Stack     uint32 // proven bound in bytes; 0: checked at run time
	Polls     bool   // its loops poll
	Slot      uint32
	Attached  bool // in a slot
	Disabled  bool // until it is loaded anew
	Paused    bool // for the rest of Window
	MaxFaults uint32
	Window    time.Duration // that MaxFaults are counted in; 0: for ever
	Budget    time.Duration
	Runs      uint64
	Skipped   uint64            // calls while disabled or paused, not in Runs
	Timing    bool              // Time goes on
	Time      time.Duration     // in runs, while timing was on
	Faults    map[string]uint64 // by cause; causes that never were are absent
	Last      *Fault            // nil: none
}

// Fault is the last fault of a program.
type Fault struct {
	Cause  string
	Since  time.Duration // CLOCK_MONOTONIC
	CPU    int
	Offset uint64 // of the faulting return address, from the start of .text
	// Chain has the program's own calls that led there, innermost first, as far as
	// the stack tells: one that is over may be among them.
	Chain []uint64
	File  string // of a panic; its last 63 bytes
	Line  int
	Col   int
}

// List returns the loaded extensions, by their numbers.
func List() ([]Status, error) {
	d, err := OpenDevice()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var out []Status
	for x, err := range d.Extensions() {
		if err != nil {
			return nil, err
		}
		s, err := d.Status(x)
		if err != nil {
			return nil, err
		}
		out = append(out, *s)
	}
	return out, nil
}

// StatusOf returns the status of one extension, ErrNotLoaded if there is none
// of that name.
func StatusOf(name string) (*Status, error) {
	d, err := OpenDevice()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	x, err := d.find(name)
	if err != nil {
		return nil, err
	}
	if x == nil {
		return nil, fmt.Errorf("%s: %w", name, ErrNotLoaded)
	}
	return d.Status(x)
}

// Status reads the counters of an extension's programs.
func (d *Device) Status(x *Extension) (*Status, error) {
	s := &Status{Extension: *x}
	for i := range x.Programs {
		p, err := d.progInfo(x.ID, i)
		if err != nil {
			return nil, err
		}
		s.Programs = append(s.Programs, programStatus(p))
	}
	return s, nil
}

func programStatus(p *uapiProgInfo) ProgramStatus {
	hook := manifest.Hook(Hook(p.Hook).String())
	s := ProgramStatus{
		Name: goString(p.Name[:]), Hook: hook, Stack: p.Stack, Polls: p.Flags&uint32(ProgPoll) != 0,
		Slot: p.Slot, Attached: p.Slot != noSlot, Disabled: p.Disabled == uapiDisabled, Paused: p.Disabled == uapiPaused, MaxFaults: p.MaxFaults,
		Window: time.Duration(p.WindowNS), Skipped: p.Skipped, Timing: p.Timing != 0, Time: time.Duration(p.NS),
		Budget: time.Duration(p.BudgetNS), Runs: p.Runs, Faults: map[string]uint64{},
	}
	var ok bool
	if s.OnFault, ok = hook.VerdictName(p.OnFault); !ok {
		s.OnFault = fmt.Sprint(p.OnFault)
	}
	for c, n := range p.Faults {
		if n > 0 {
			s.Faults[Cause(c).String()] = n
		}
	}
	if p.LastNS != 0 {
		s.Last = &Fault{
			Cause: Cause(p.LastCause).String(), Since: time.Duration(p.LastNS), CPU: int(p.LastCPU), Offset: p.LastOffset,
			File: goString(p.LastFile[:]), Line: int(p.LastLine), Col: int(p.LastCol),
		}
		for _, offset := range p.LastChain[:min(p.LastCalls, uapiChainMax)] {
			s.Last.Chain = append(s.Last.Chain, uint64(offset))
		}
	}
	return s
}
