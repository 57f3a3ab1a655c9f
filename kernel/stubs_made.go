// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// The stubs of most hooks are made here, since they depend on the target: what
// has no context type that a kfunc could take, the stub reads field by field,
// each load checked by the verifier against the target, and hands over as bytes
// on its stack (see kernel/module/hook_tracing.c).

// madeStub says how the stub of a hook is made.
type madeStub struct {
	kfunc  string
	typ    ebpf.ProgramType
	attach ebpf.AttachType // expected at load
	body   func(*madeStub, *stubTarget) (asm.Instructions, error)
	ending
}

var madeStubs = map[Hook]*madeStub{
	HookKprobe:         {"iu_kprobe_run", ebpf.Kprobe, ebpf.AttachNone, passContext, watch},
	HookKretprobe:      {"iu_kretprobe_run", ebpf.Kprobe, ebpf.AttachNone, passContext, watch},
	HookUprobe:         {"iu_uprobe_run", ebpf.Kprobe, ebpf.AttachNone, passContext, watch},
	HookPerfEvent:      {"iu_perf_event_run", ebpf.PerfEvent, ebpf.AttachNone, passContext, watch},
	HookTracepoint:     {"iu_tracepoint_run", ebpf.TracePoint, ebpf.AttachNone, copyRecord, watch},
	HookFentry:         {"iu_fentry_run", ebpf.Tracing, ebpf.AttachTraceFEntry, copyArgs, watch},
	HookFexit:          {"iu_fexit_run", ebpf.Tracing, ebpf.AttachTraceFExit, copyArgs, watch},
	HookTPBTF:          {"iu_tp_btf_run", ebpf.Tracing, ebpf.AttachTraceRawTp, copyArgs, watch},
	HookLSM:            {"iu_lsm_run", ebpf.LSM, ebpf.AttachLSMMac, copyArgs, errno},
	HookCgroupSKB:      {"iu_cgroup_skb_run", ebpf.CGroupSKB, ebpf.AttachNone, passContext, gate},
	HookCgroupSockAddr: {"iu_sock_addr_run", ebpf.CGroupSockAddr, ebpf.AttachNone, passContext, gate},
	HookSocketFilter:   {"iu_socket_filter_run", ebpf.SocketFilter, ebpf.AttachNone, passContext, plain},
}

// ending is how a stub ends: what it returns of what the program returned. The
// verifier knows nothing of the latter and wants to see the bounds.
type ending int

const (
	plain ending = iota // as it is
	watch               // nothing
	gate                // 0 or 1
	errno               // 0 or a negative errno
)

func (v ending) instructions() asm.Instructions {
	switch v {
	case watch:
		return asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	case gate:
		return asm.Instructions{asm.And.Imm(asm.R0, 1), asm.Return()}
	case errno:
		return asm.Instructions{
			asm.LSh.Imm(asm.R0, 32), asm.ArSh.Imm(asm.R0, 32),
			asm.JSGT.Imm(asm.R0, 0, "zero"), asm.JSLT.Imm(asm.R0, -4095, "zero"), asm.Return(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("zero"), asm.Return(),
		}
	}
	return asm.Instructions{asm.Return()}
}

// stubTarget is what a stub has to know of where it will be attached.
type stubTarget struct {
	attach ebpf.AttachType // of hooks that have one per operation
	size   int             // tracepoint: bytes of the record's fixed part
	btf    *btfTarget      // fentry, fexit, tp_btf, lsm
	frags  bool            // xdp: the program takes packets of several buffers
}

const (
	wordSize = 8
	// stubStack is what a stub may use of the 512 bytes that BPF has.
	stubStack = 504
)

func kfuncCall() asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: -1}
}

func slotArg(r asm.Register) asm.Instruction {
	in := asm.Mov.Imm(r, 0)
	in.Constant = stubSlot
	return in
}

// passContext hands over the context itself, which the verifier knows.
func passContext(*madeStub, *stubTarget) (asm.Instructions, error) {
	return asm.Instructions{slotArg(asm.R2), kfuncCall()}, nil
}

// passStack hands over the uppermost size bytes of the stack.
func passStack(size int) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -stackRoom(size)),
		asm.Mov.Imm(asm.R2, int32(size)), slotArg(asm.R3), kfuncCall(),
	}
}

func stackRoom(size int) int32 { return int32((size + wordSize - 1) / wordSize * wordSize) }

// copyRecord copies the record's fixed part; in the place of the first eight
// bytes goes its address.
func copyRecord(_ *madeStub, t *stubTarget) (asm.Instructions, error) {
	if t.size < wordSize {
		return nil, fmt.Errorf("a record of %d bytes", t.size)
	}
	size := min(t.size, stubStack)
	base := -int16(stackRoom(size))
	ins := asm.Instructions{asm.StoreMem(asm.RFP, base, asm.R1, asm.DWord)}
	// The kernel refuses a stub that could read beyond the record.
	for off := wordSize; off < size; {
		width := asm.DWord
		for width.Sizeof() > size-off {
			width = map[asm.Size]asm.Size{asm.DWord: asm.Word, asm.Word: asm.Half, asm.Half: asm.Byte}[width]
		}
		ins = append(ins, asm.LoadMem(asm.R2, asm.R1, int16(off), width), asm.StoreMem(asm.RFP, base+int16(off), asm.R2, width))
		off += width.Sizeof()
	}
	return append(ins, passStack(size)...), nil
}

// copyArgs copies the return value (0 if there is none) and each argument, one
// to a word.
func copyArgs(m *madeStub, t *stubTarget) (asm.Instructions, error) {
	args := t.btf.args
	size := (1 + len(args)) * wordSize
	base := -int16(stackRoom(size))
	ins := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	place := func(i int) int16 { return base + int16(i*wordSize) }
	load := func(i int, slot int) {
		ins = append(ins, asm.LoadMem(asm.R1, asm.R6, int16(slot*wordSize), asm.DWord), asm.StoreMem(asm.RFP, place(i), asm.R1, asm.DWord))
	}
	zero := func(i int) {
		ins = append(ins, asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.RFP, place(i), asm.R1, asm.DWord))
	}
	switch r := t.btf.ret; {
	case m.attach != ebpf.AttachTraceFExit || r == nil:
		zero(0)
	case r.loads:
		load(0, r.slot)
	default:
		ins = append(ins, asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, int32(place(0))), asm.FnGetFuncRet.Call())
	}
	for i, a := range args {
		switch {
		case a.loads:
			load(1+i, a.slot)
		case m.attach == ebpf.AttachTraceRawTp:
			// Nothing reads it: see btfTarget.check.
			zero(1 + i)
		default:
			// The verifier gives no type to such a pointer; the helper gives a number.
			ins = append(ins, asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, int32(a.slot)),
				asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, int32(place(1+i))), asm.FnGetFuncArg.Call())
		}
	}
	return append(ins, passStack(size)...), nil
}

// makeStub makes a stub with the mark of the slot in it.
func makeStub(hook Hook, t *stubTarget) (*ebpf.ProgramSpec, error) {
	m := madeStubs[hook]
	if t == nil {
		t = &stubTarget{}
	}
	if m.typ == ebpf.Tracing || m.typ == ebpf.LSM {
		if t.btf == nil {
			return nil, fmt.Errorf("a stub of %s needs what it attaches to", hook)
		}
	}
	body, err := m.body(m, t)
	if err != nil {
		return nil, err
	}
	attach := m.attach
	if t.attach != ebpf.AttachNone {
		attach = t.attach
	}
	return &ebpf.ProgramSpec{Type: m.typ, AttachType: attach, License: "GPL", Instructions: append(body, m.ending.instructions()...)}, nil
}
