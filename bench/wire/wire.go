// SPDX-License-Identifier: Apache-2.0

// Package wire is what the guest tells the host, as JSON.
package wire

// Report is the result of one boot.
type Report struct {
	// Machine says what the figures depend on: the kernel's release, mitigations, the clock.
	Machine map[string]string `json:"machine"`
	Figures []Figure          `json:"figures"`
	// Refused has the end of the verifier's log for programs that it must refuse, by name.
	Refused map[string]string `json:"refused,omitempty"`
}

// Figure is one measurement. Baseline is the same work in eBPF, in the same boot;
// nil if eBPF has no such work.
type Figure struct {
	Name     string   `json:"name"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit"`
	Baseline *float64 `json:"baseline,omitempty"`
}
