// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/iupkg/iupkg/manifest"
)

// SelfTest runs a loaded extension on the packets of its manifest, through its
// stubs, and compares the verdicts. A fault of a program fails it too, whatever
// verdict it left. It returns how many packets there were.
func SelfTest(l *Loaded, m *manifest.Manifest) (int, error) {
	var errs []error
	for i := range m.SelfTests {
		s := &m.SelfTests[i]
		if err := selfTest(l, s); err != nil {
			name := s.Name
			if name == "" {
				name = fmt.Sprint("number ", i+1)
			}
			errs = append(errs, fmt.Errorf("self-test %s: program %s: %w", name, s.Program, err))
		}
	}
	status, err := StatusOf(l.Name)
	if err != nil {
		return len(m.SelfTests), errors.Join(append(errs, err)...)
	}
	for _, p := range status.Programs {
		for cause, n := range p.Faults {
			errs = append(errs, fmt.Errorf("program %s had %d faults of cause %s", p.Name, n, cause))
		}
	}
	return len(m.SelfTests), errors.Join(errs...)
}

func selfTest(l *Loaded, s *manifest.SelfTest) error {
	i := slices.IndexFunc(l.Programs, func(p LoadedProgram) bool { return p.Name == s.Program })
	if i < 0 {
		return ErrNotLoaded
	}
	packet, err := s.Bytes()
	if err != nil {
		return err
	}
	stub, err := ebpf.LoadPinnedProgram(l.Programs[i].Pin, nil)
	if err != nil {
		return err
	}
	defer stub.Close()
	verdict, err := stub.Run(&ebpf.RunOptions{Data: packet, DataOut: make([]byte, len(packet)+256)})
	if err != nil {
		return refused("run it on a packet", "", err)
	}
	name, ok := l.Programs[i].Hook.VerdictName(int32(verdict))
	if !ok {
		name = fmt.Sprint(int32(verdict))
	}
	if name != s.Expect {
		return fmt.Errorf("the verdict is %s, want %s", name, s.Expect)
	}
	return nil
}
