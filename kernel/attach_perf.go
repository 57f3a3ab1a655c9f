// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// perfEvents has type and number (linux/perf_event.h) of the events that a
// target may name.
var perfEvents = map[string]struct {
	typ    uint32
	config uint64
}{
	"cpu-clock":        {unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CPU_CLOCK},
	"task-clock":       {unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_TASK_CLOCK},
	"page-faults":      {unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_PAGE_FAULTS},
	"context-switches": {unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CONTEXT_SWITCHES},
	"cpu-migrations":   {unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CPU_MIGRATIONS},
	"cycles":           {unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_CPU_CYCLES},
	"instructions":     {unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_INSTRUCTIONS},
	"cache-misses":     {unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_CACHE_MISSES},
	"branch-misses":    {unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_BRANCH_MISSES},
}

const defaultFrequency = 99

// attachPerfEvent opens the event on every CPU that is online, for all tasks.
func attachPerfEvent(a *attachment) (*Link, error) {
	name := a.target["event"]
	ev, ok := perfEvents[name]
	if !ok {
		return nil, fmt.Errorf("unknown event %q", name)
	}
	attr := unix.PerfEventAttr{Type: ev.typ, Config: ev.config, Size: uint32(unix.PERF_ATTR_SIZE_VER5)}
	period, err := number(a.target, "period")
	if err != nil {
		return nil, err
	}
	freq, err := number(a.target, "frequency")
	if err != nil {
		return nil, err
	}
	where := fmt.Sprintf("%s every %d", name, period)
	attr.Sample = period
	if period == 0 {
		if freq == 0 {
			freq = defaultFrequency
		}
		attr.Sample, attr.Bits = freq, unix.PerfBitFreq
		where = fmt.Sprintf("%s at %d Hz", name, freq)
	}
	cpus, err := onlineCPUs()
	if err != nil {
		return nil, err
	}
	l := &Link{Where: where}
	for i, cpu := range cpus {
		pin := a.pin
		if i > 0 {
			// The suffix of what takes another's place stays at the end.
			base, beside := strings.CutSuffix(a.pin, newSuffix)
			pin = fmt.Sprintf("%s-cpu%d", base, cpu)
			if beside {
				pin += newSuffix
			}
		}
		if err := openPerf(&attr, cpu, a.stub, pin); err != nil {
			err = refusedBPF(fmt.Sprintf("attach to %s on CPU %d", where, cpu), err)
			if i > 0 {
				err = errors.Join(err, l.detach())
			}
			return nil, err
		}
		if i == 0 {
			l.Pin = pin
		} else {
			l.More = append(l.More, pin)
		}
	}
	return l, nil
}

func openPerf(attr *unix.PerfEventAttr, cpu int, stub *ebpf.Program, pin string) error {
	fd, err := unix.PerfEventOpen(attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return err
	}
	// The link holds the event.
	defer unix.Close(fd)
	l, err := link.AttachRawLink(link.RawLinkOptions{Target: fd, Program: stub, Attach: ebpf.AttachPerfEvent})
	if err != nil {
		return err
	}
	return pinLink(l, pin)
}

func onlineCPUs() ([]int, error) {
	b, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, err
	}
	return parseCPUs(strings.TrimSpace(string(b)))
}

// parseCPUs reads a list as in "0-3,5".
func parseCPUs(s string) ([]int, error) {
	var out []int
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, ranged := strings.Cut(part, "-")
		if !ranged {
			hi = lo
		}
		from, err := strconv.Atoi(lo)
		to, err2 := strconv.Atoi(hi)
		if err != nil || err2 != nil || from < 0 || to < from || to > 1<<16 {
			return nil, fmt.Errorf("list of CPUs %q", s)
		}
		for n := from; n <= to; n++ {
			out = append(out, n)
		}
	}
	return out, nil
}
