// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strings"
	"testing"
)

func TestHooks(t *testing.T) {
	if got := fmt.Sprint(Hooks()); got != "[xdp tc kprobe tracepoint perf_event fentry fexit tp_btf lsm cgroup_skb cgroup_sock_addr socket_filter kretprobe uprobe]" {
		t.Error(got)
	}
	for _, h := range Hooks() {
		for _, name := range h.Verdicts() {
			n, ok := h.Verdict(name)
			if back, ok2 := h.VerdictName(n); !ok || !ok2 || back != name {
				t.Errorf("%s %s is %d is %s", h, name, n, back)
			}
		}
	}
}

// A target is KEY=VALUE words; want is part of the error, or "" and the BTF
// requirement.
func TestTargets(t *testing.T) {
	for _, c := range []struct {
		hook      Hook
		target    string
		want, btf string
	}{
		{HookKprobe, "function=tcp_v4_rcv", "", ""},
		{HookKprobe, "function=foo.isra.0 offset=0x10", "", ""},
		{HookKprobe, "function=0xffff", "not a symbol", ""},
		{HookKprobe, "function=a/b", "not a symbol", ""},
		{HookKprobe, "offset=1", "needs function", ""},
		{HookKprobe, "function=f offset=-1", "not a number", ""},
		{HookKretprobe, "function=f offset=1", "no attachment key", ""},
		{HookUprobe, "path=/bin/bash symbol=readline at=return", "", ""},
		{HookUprobe, "path=bin/bash", "not an absolute", ""},
		{HookUprobe, "path=/bin/../bash", "not an absolute", ""},
		{HookUprobe, "path=/bin/bash at=exit", "want entry, return", ""},
		{HookTracepoint, "event=sched/sched_switch", "", ""},
		{HookTracepoint, "event=sched_switch", "want GROUP/EVENT", ""},
		{HookTracepoint, "event=/sched", "want GROUP/EVENT", ""},
		{HookTracepoint, "event=sched/../x", "want GROUP/EVENT", ""},
		{HookPerfEvent, "event=cpu-clock frequency=99", "", ""},
		{HookPerfEvent, "event=cpu", "want cpu-clock", ""},
		{HookFentry, "function=do_unlinkat", "", "func do_unlinkat"},
		{HookFentry, "function=${fn}", "", ""},
		{HookFexit, "function=veth_xmit module=veth", "", ""},
		{HookTPBTF, "tracepoint=sched_switch", "", "typedef btf_trace_sched_switch"},
		{HookTPBTF, "tracepoint=sched/sched_switch", "not a symbol", ""},
		{HookLSM, "hook=file_open", "", "func bpf_lsm_file_open"},
		{HookCgroupSKB, "cgroup=/sys/fs/cgroup direction=ingress", "", ""},
		{HookCgroupSKB, "cgroup=/sys/fs/cgroup", "needs direction", ""},
		{HookCgroupSockAddr, "cgroup=/sys/fs/cgroup operation=connect4", "", ""},
		{HookCgroupSockAddr, "cgroup=/sys/fs/cgroup operation=listen", "want bind4", ""},
		{HookSocketFilter, "", "", ""},
		{HookSocketFilter, "path=/x", "no attachment key", ""},
	} {
		target := map[string]string{}
		for _, kv := range strings.Fields(c.target) {
			k, v, _ := strings.Cut(kv, "=")
			target[k] = v
		}
		err := c.hook.checkAttach(target, func(string) bool { return true })
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %s: %v, want %q", c.hook, c.target, err, c.want)
		}
		if got := c.hook.BTFTarget(target); c.want == "" && got != c.btf {
			t.Errorf("%s %s requires %q, want %q", c.hook, c.target, got, c.btf)
		}
	}
}
