// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// callCost is what a call pushes besides the callee's frame: the return address.
const callCost = 8

// stackFrames reads .stack_sizes of an unstripped object: bytes of stack by
// symbol, without the return address. (llvm.org/docs/CodeGenerator.html#emitting-function-stack-size-information)
func stackFrames(f *elf.File) (map[string]uint64, error) {
	syms, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	type place struct {
		section elf.SectionIndex
		value   uint64
	}
	names := map[place][]string{}
	for _, s := range syms {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			p := place{s.Section, s.Value}
			names[p] = append(names[p], s.Name)
		}
	}
	frames := map[string]uint64{}
	for i, sec := range f.Sections {
		if sec.Name != ".stack_sizes" {
			continue
		}
		sizes, err := sec.Data()
		if err != nil {
			return nil, err
		}
		rela := relaFor(f, i)
		if rela == nil {
			return nil, errors.New(".stack_sizes has no relocations")
		}
		b, err := rela.Data()
		if err != nil {
			return nil, err
		}
		for ; len(b) >= 24; b = b[24:] {
			off, info := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
			addend := binary.LittleEndian.Uint64(b[16:])
			n := elf.R_SYM64(info)
			if n == 0 || int(n) > len(syms) || off+8 >= uint64(len(sizes)) {
				return nil, errors.New(".stack_sizes: relocation out of range")
			}
			s := syms[n-1]
			size, used := binary.Uvarint(sizes[off+8:])
			owners := names[place{s.Section, s.Value + addend}]
			if used <= 0 || len(owners) == 0 {
				return nil, errors.New(".stack_sizes: entry without a function")
			}
			for _, name := range owners {
				frames[name] = size
			}
		}
	}
	return frames, nil
}

func relaFor(f *elf.File, section int) *elf.Section {
	for _, s := range f.Sections {
		if s.Type == elf.SHT_RELA && int(s.Info) == section {
			return s
		}
	}
	return nil
}

// stackBounds adds up frames along the call graph: for each program the most bytes
// that it uses, its entry's return address included, or 0 if some function on the
// way checks the stack at run time. It refuses what cannot fit.
func stackBounds(r *passReport, frames map[string]uint64) (map[string]uint32, error) {
	w := &stackWalk{frames: frames, funcs: map[string]*reportFunction{}, depth: map[string]uint64{}, checked: map[string]bool{}}
	for i := range r.Functions {
		f := &r.Functions[i]
		w.funcs[f.Symbol] = f
		if f.AddressTaken {
			w.taken = append(w.taken, f.Symbol)
		}
		frame, ok := frames[f.Symbol]
		if !ok {
			return nil, fmt.Errorf("%s: the size of its frame is not known", f.Name)
		}
		// What a frame loses by aligning itself, and the saved registers above that: LLVM counts neither.
		frame += 2 * f.Align
		frames[f.Symbol] = frame
		if frame > frameMax {
			return nil, &RuleError{File: f.File, Line: f.Line,
				Rule: fmt.Sprintf("%s has a stack frame of %d bytes, at most %d are allowed", f.Name, frame, frameMax),
				Why:  "keep large values in maps and change them in place, or split the function"}
		}
	}
	out := map[string]uint32{}
	for _, p := range r.Programs {
		depth, checked, err := w.walk(p.Entry)
		if err != nil {
			return nil, err
		}
		if depth > stackSize-stackReserve {
			f := w.funcs[p.Entry]
			return nil, &RuleError{File: f.File, Line: f.Line,
				Rule: fmt.Sprintf("program %s needs %d bytes of stack, at most %d are allowed", p.Name, depth, stackSize-stackReserve),
				Why:  "keep large values in maps and change them in place; report.json has the frames"}
		}
		if checked {
			depth = 0
		}
		out[p.Name] = uint32(depth)
	}
	return out, nil
}

type stackWalk struct {
	frames  map[string]uint64
	funcs   map[string]*reportFunction
	taken   []string
	depth   map[string]uint64 // done
	checked map[string]bool
	active  []string
}

// walk returns the most stack that a call of the function takes, and whether a
// run-time check is on the way. Below a check the pass sees to it that the
// reserve suffices, so only the checking function's own frame counts.
func (w *stackWalk) walk(symbol string) (uint64, bool, error) {
	if d, ok := w.depth[symbol]; ok {
		return d, w.checked[symbol], nil
	}
	f := w.funcs[symbol]
	if f == nil {
		return 0, false, fmt.Errorf("the pass's report has no function %s", symbol)
	}
	own := w.frames[symbol] + callCost
	if f.StackCheck {
		w.depth[symbol], w.checked[symbol] = own, true
		return own, true, nil
	}
	for _, a := range w.active {
		if a == symbol {
			return 0, false, fmt.Errorf("%s is recursive and does not check the stack", f.Name)
		}
	}
	w.active = append(w.active, symbol)
	defer func() { w.active = w.active[:len(w.active)-1] }()
	callees := f.Calls
	if f.Indirect {
		callees = append(append([]string{}, callees...), w.taken...)
	}
	var deepest uint64
	var checked bool
	for _, c := range callees {
		d, ch, err := w.walk(c)
		if err != nil {
			return 0, false, err
		}
		deepest = max(deepest, d)
		checked = checked || ch
	}
	w.depth[symbol], w.checked[symbol] = own+deepest, checked
	return own + deepest, checked, nil
}
