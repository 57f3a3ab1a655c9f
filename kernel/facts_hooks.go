// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/iupkg/iupkg/manifest"
	"golang.org/x/sys/unix"
)

// hookNeeds says what a hook takes beside a program type.
type hookNeeds struct {
	// class is the kernel's name for the kfuncs of the program type (enum
	// btf_kfunc_hook of kernel/bpf/btf.c). All kernels with kfuncs in modules
	// have those of XDP, TC and tracing; the others came in Linux 6.12, and with
	// them tracepoint and perf_event programs got those of tracing.
	class  string
	config []string // all of these
	probe  string   // BTF name of a target that every kernel has, of stubs that need one
}

var hooksNeed = map[Hook]hookNeeds{
	HookXDP:            {},
	HookTC:             {config: []string{"NET_CLS_ACT"}},
	HookKprobe:         {class: "KPROBE", config: []string{"KPROBE_EVENTS"}},
	HookKretprobe:      {class: "KPROBE", config: []string{"KPROBE_EVENTS"}},
	HookUprobe:         {class: "KPROBE", config: []string{"UPROBE_EVENTS"}},
	HookTracepoint:     {class: "KPROBE", config: []string{"EVENT_TRACING"}},
	HookPerfEvent:      {class: "KPROBE", config: []string{"PERF_EVENTS"}},
	HookFentry:         {config: []string{"DYNAMIC_FTRACE_WITH_DIRECT_CALLS"}, probe: "bpf_fentry_test1"},
	HookFexit:          {config: []string{"DYNAMIC_FTRACE_WITH_DIRECT_CALLS"}, probe: "bpf_fentry_test1"},
	HookTPBTF:          {probe: "btf_trace_sched_switch"},
	HookLSM:            {config: []string{"BPF_LSM"}, probe: "bpf_lsm_file_open"},
	HookCgroupSKB:      {class: "CGROUP", config: []string{"CGROUP_BPF"}},
	HookCgroupSockAddr: {class: "CGROUP", config: []string{"CGROUP_BPF"}},
	HookSocketFilter:   {class: "SOCKET_FILTER"},
}

// probeHook asks the kernel. With the runtime loaded the verifier judges a stub
// as it will be, which settles it. Without, an empty program of the type is
// loaded, and whether such programs may call a module is read from the kernel's
// BTF.
func (k *Running) probeHook(h manifest.Hook) manifest.Answer {
	hook, err := ParseHook(h)
	if err != nil {
		return manifest.Unknown
	}
	need, ok := hooksNeed[hook]
	if !ok {
		return manifest.Unknown
	}
	answer := manifest.Yes
	and := func(a manifest.Answer) {
		if a == manifest.No || answer == manifest.Yes {
			answer = a
		}
	}
	for _, sym := range need.config {
		and(enabled(k.LookupConfig, sym))
	}
	if hook == HookLSM {
		and(lsmInForce(k.LookupConfig))
	}
	and(k.allowed())
	and(k.moduleBTF())
	if answer == manifest.No {
		return answer
	}
	if r := k.runtime(); r != nil {
		if !slices.Contains(r.version.Hooks, hook) {
			return manifest.No
		}
		and(k.tryStub(hook, need.probe, true))
		return answer
	}
	if need.class != "" {
		and(kfuncClass(k.btf(), need.class))
	}
	if answer != manifest.No {
		and(k.tryStub(hook, need.probe, false))
	}
	return answer
}

// kfuncClass: does the kernel know this class of kfuncs?
func kfuncClass(raw []byte, class string) manifest.Answer {
	if raw == nil {
		return manifest.Unknown
	}
	_, strs, err := btfSections(raw)
	switch {
	case err != nil || !bytes.Contains(strs, []byte("\x00BTF_KFUNC_HOOK_TRACING\x00")):
		return manifest.Unknown
	case bytes.Contains(strs, []byte("\x00BTF_KFUNC_HOOK_"+class+"\x00")):
		return manifest.Yes
	}
	return manifest.No
}

// tryStub loads a stub of the hook and lets go of it; with call, one that calls
// the runtime, at a slot that is never given out.
func (k *Running) tryStub(hook Hook, probe string, call bool) manifest.Answer {
	t := &stubTarget{size: 2 * wordSize}
	if probe != "" {
		id := rawType(k.btf(), probe)
		if id == 0 {
			return manifest.Unknown // this kernel has not even what the probe attaches to
		}
		t.btf = &btfTarget{name: probe, id: id}
	}
	switch hook {
	case HookCgroupSKB:
		t.attach = ebpf.AttachCGroupInetIngress
	case HookCgroupSockAddr:
		t.attach = ebpf.AttachCGroupInet4Connect
	}
	var prog *ebpf.Program
	var err error
	if call {
		prog, err = loadStub(hook, 0, "iu_probe", t)
	} else {
		prog, err = loadEmpty(hook, t)
	}
	switch {
	case err == nil:
		prog.Close()
		return manifest.Yes
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOMEM):
		return manifest.Unknown
	case errors.Is(err, unix.EACCES):
		if call {
			return manifest.No // the verifier's no
		}
		return manifest.Unknown
	case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, ebpf.ErrNotSupported):
		return manifest.No
	}
	return manifest.Unknown
}

// loadEmpty loads the stub of a hook without its body.
func loadEmpty(hook Hook, t *stubTarget) (*ebpf.Program, error) {
	spec, err := markedStub(hook, t)
	if err != nil {
		return nil, err
	}
	spec.Name = "iu_probe"
	spec.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	return loadProgram(spec, nil, t.btf)
}

// rawType is the number of the function or typedef of a name in raw BTF, 0 if
// there is none: far quicker than decoding all types for one.
func rawType(raw []byte, name string) uint32 {
	types, strs, err := btfSections(raw)
	if err != nil {
		return 0
	}
	at := bytes.Index(strs, []byte("\x00"+name+"\x00"))
	if at < 0 {
		return 0
	}
	n, found := uint32(0), uint32(0)
	_, err = walkTypes(types, func(kind int, off uint32) {
		n++
		if off == uint32(at+1) && (kind == btfKindFunc || kind == btfKindTypedef) {
			found = n
		}
	})
	if err != nil {
		return 0
	}
	return found
}

// lsmInForce: does the kernel call the hooks of BPF programs? What says so is
// securityfs, if somebody has mounted it, else how the kernel was started.
func lsmInForce(config manifest.ConfigLookup) manifest.Answer {
	list := readLine("/sys/kernel/security/lsm")
	if list == "" {
		for word := range strings.FieldsSeq(readLine("/proc/cmdline")) {
			if l, ok := strings.CutPrefix(word, "lsm="); ok {
				list = l
			} else if strings.HasPrefix(word, "security=") {
				return manifest.Unknown // takes others away
			}
		}
	}
	if list == "" {
		v, known := config("LSM")
		if !known {
			return manifest.Unknown
		}
		list = strings.Trim(v, `"`)
	}
	if slices.Contains(strings.Split(list, ","), "bpf") {
		return manifest.Yes
	}
	return manifest.No
}
