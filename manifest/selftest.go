// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Limits of self-tests.
const (
	MaxSelfTests = 64
	MinPacket    = 14   // bytes: an Ethernet header, less the kernel takes nowhere
	MaxPacket    = 1500 // bytes
)

// SelfTest is one packet that a program is run on, as by BPF_PROG_TEST_RUN, and
// the verdict that it must give. iupkg install --canary runs them, in their order,
// with the maps as the ones before have left them.
type SelfTest struct {
	Name    string `json:"name,omitempty" toml:"name"` // what is tested, one line
	Program string `json:"program" toml:"program"`
	Packet  string `json:"packet" toml:"packet"` // bytes in hex, white space between them is ignored
	Expect  string `json:"expect" toml:"expect"` // the hook's name of the verdict
}

// Bytes is the packet.
func (s *SelfTest) Bytes() ([]byte, error) {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s.Packet), ""))
	if err != nil {
		return nil, fmt.Errorf("packet: %w", err)
	}
	if len(b) < MinPacket || len(b) > MaxPacket {
		return nil, fmt.Errorf("packet: has %d bytes, want %d to %d", len(b), MinPacket, MaxPacket)
	}
	return b, nil
}

// checkSelfTests wants packets for programs that there are, whose hooks have
// packets.
func checkSelfTests(p *problems, field string, tests []SelfTest, hook func(program string) (Hook, bool)) {
	if len(tests) > MaxSelfTests {
		p.addf(field, "has %d entries, at most %d are allowed", len(tests), MaxSelfTests)
		return
	}
	for i := range tests {
		s := &tests[i]
		f := fmt.Sprintf("%s[%d]", field, i)
		if s.Name != "" {
			p.add(f+".name", checkText(s.Name, 256))
		}
		h, ok := hook(s.Program)
		switch {
		case !ok:
			p.addf(f+".program", "there is no program %.40q", s.Program)
			continue
		case h != HookXDP && h != HookTC:
			p.addf(f+".program", "%s is at %s, which has no packets: self-tests are for xdp and tc", s.Program, h)
			continue
		}
		p.add(f+".expect", checkVerdict(h, s.Expect))
		if _, err := s.Bytes(); err != nil {
			p.add(f+".packet", err)
		}
	}
}

func (m *Manifest) hookOf(program string) (Hook, bool) {
	i := slices.IndexFunc(m.Programs, func(p Program) bool { return p.Name == program })
	if i < 0 {
		return "", false
	}
	return m.Programs[i].Hook, true
}

// Migration says what becomes of what is in a map when an upgrade brings one of the
// same name that is of another shape.
type Migration string

// The migrations. Without one such an upgrade is refused.
const (
	MigrateDrop Migration = "drop" // the new map starts empty
	MigrateCopy Migration = "copy" // entries are copied: keys and values must have the same size
)

func checkMigration(m Migration) error {
	if m != "" && m != MigrateDrop && m != MigrateCopy {
		return fmt.Errorf("%.20q is no migration: there are drop and copy", m)
	}
	return nil
}
