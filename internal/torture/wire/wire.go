// SPDX-License-Identifier: Apache-2.0

// Package wire is what the guest of the torture suite tells the host: one JSON
// object on a line of its own for each case, as soon as it has ended.
package wire

// Case is one property in one context at one hook.
type Case struct {
	Property string `json:"property"` // what was done wrong
	Context  string `json:"context"`
	Hook     string `json:"hook"`
	Runs     uint64 `json:"runs"`     // how often it was done
	Survived uint64 `json:"survived"` // runs that ended as they should, and were counted
	// Leaks is the sum of: kernel objects left, calls that returned with another preemption
	// count, RCU nesting or interrupt flag, and 1 if the kernel's memory grew.
	Leaks uint64 `json:"leaks"`
	// Deepest is how many programs were under way at a time on one CPU, each interrupting the one before.
	Deepest uint32 `json:"deepest,omitempty"`
	// Steps is how many steps of the life cycle were done, and not refused, meanwhile.
	Steps uint64 `json:"steps,omitempty"`
	// Packets is how many were sent meanwhile, each of which exactly one version has counted.
	Packets uint64 `json:"packets,omitempty"`
	// OverrunMs has the 99th percentile and the maximum of the time over the budget; nil if not a matter of time.
	OverrunMs *[2]float64 `json:"overrun_ms,omitempty"`
	// Wrong says what was not as it should be; empty: the case passed.
	Wrong string `json:"wrong,omitempty"`
}
