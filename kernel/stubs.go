// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"embed"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

//go:generate make -C stubs

//go:embed stubs/*_bpfel.o
var stubObjects embed.FS

// stubSlot is IU_SLOT of stubs/stub.h: the constant that stands for the slot.
const stubSlot = 0x69755f53

// stubFor says which stub serves a hook.
var stubFor = map[Hook]struct{ file, program, kfunc string }{
	HookXDP: {"xdp", "iu_xdp", "iu_xdp_run"},
	HookTC:  {"tc", "iu_tc", "iu_tc_run"},
}

func stubCollection(file string) (*ebpf.CollectionSpec, error) {
	b, err := stubObjects.ReadFile("stubs/" + file + "_bpfel.o")
	if err != nil {
		return nil, err
	}
	c, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("stub %s: %w", file, err)
	}
	return c, nil
}

func stubSpec(file, program string) (*ebpf.ProgramSpec, error) {
	c, err := stubCollection(file)
	if err != nil {
		return nil, err
	}
	p := c.Programs[program]
	if p == nil {
		return nil, fmt.Errorf("stub %s: no program %s", file, program)
	}
	return p, nil
}

// slotStub is the stub of a hook with the slot's number in it.
func slotStub(hook Hook, slot uint32, t *stubTarget) (*ebpf.ProgramSpec, error) {
	p, err := markedStub(hook, t)
	if err != nil {
		return nil, err
	}
	found := 0
	for i := range p.Instructions {
		in := &p.Instructions[i]
		if in.OpCode.ALUOp() == asm.Mov && in.OpCode.Source() == asm.ImmSource && in.Constant == stubSlot {
			in.Constant = int64(int32(slot))
			found++
		}
	}
	if found != 1 {
		return nil, fmt.Errorf("the stub of %s has its slot %d times", hook, found)
	}
	return p, nil
}

// markedStub is the stub with the mark where the slot's number goes.
func markedStub(hook Hook, t *stubTarget) (*ebpf.ProgramSpec, error) {
	if s, ok := stubFor[hook]; ok {
		p, err := stubSpec(s.file, s.program)
		if err == nil && t != nil && t.frags {
			p.Flags |= unix.BPF_F_XDP_HAS_FRAGS
		}
		return p, err
	}
	if _, ok := madeStubs[hook]; ok {
		return makeStub(hook, t)
	}
	return nil, fmt.Errorf("no stub for hook %s", hook)
}

func kfuncOf(hook Hook) string {
	if m, ok := madeStubs[hook]; ok {
		return m.kfunc
	}
	return stubFor[hook].kfunc
}

// loadStub makes the verified half of a program. name shows in bpftool.
func loadStub(hook Hook, slot uint32, name string, t *stubTarget) (*ebpf.Program, error) {
	spec, err := slotStub(hook, slot, t)
	if err != nil {
		return nil, err
	}
	spec.Name = bpfName(name)
	k, err := findKfunc(runtimeModule, kfuncOf(hook))
	if err != nil {
		return nil, err
	}
	defer k.btf.Close()
	var to *btfTarget
	if t != nil {
		to = t.btf
	}
	return loadCaller(spec, k, to)
}

// refusedBPF tells a refusal of the kernel from a fault of ours. The verifier's
// whole log is behind %+v of the wrapped error.
func refusedBPF(op string, err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) || errors.Is(err, ebpf.ErrNotSupported) {
		return refused(op, "", err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// bpfName fits a name into the 15 characters that the kernel keeps of the names
// of programs and maps.
func bpfName(s string) string {
	b := []byte(s)
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			b[i] = '_'
		}
	}
	return string(b[:min(len(b), 15)])
}
