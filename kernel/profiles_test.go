// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

// The profiles of stock kernels are what `iupkg kernel --save` wrote in machines
// that ran them; scripts/profiles makes them anew.
const profilesDir = "testdata/profiles"

var stockKernels = []string{"6.1", "6.1-cloud", "6.1-rt", "6.12", "6.12-cloud", "6.12-rt"}

func stockProfile(t *testing.T, name string) *manifest.Profile {
	t.Helper()
	file := filepath.Join(profilesDir, "debian-"+name+".json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 3<<20 {
		t.Errorf("%s has %d bytes", file, len(b))
	}
	p, err := manifest.ParseProfile(b, file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStockProfiles(t *testing.T) {
	for _, name := range stockKernels {
		p := stockProfile(t, name)
		if !strings.HasPrefix(p.Release, strings.SplitN(name, "-", 2)[0]+".") || p.Arch != "amd64" {
			t.Errorf("%s: release %s, arch %s", name, p.Release, p.Arch)
		}
		if len(p.Config) < 2000 || len(p.BTF) < 3<<20 || len(p.Symbols) < 9000 || len(p.ModuleTypes) == 0 || len(p.Mitigations) < 10 {
			t.Errorf("%s: %d symbols, %d bytes of BTF, %d exports, types of %d modules, %d mitigations", name,
				len(p.Config), len(p.BTF), len(p.Symbols), len(p.ModuleTypes), len(p.Mitigations))
		}
		for what, a := range map[string]manifest.Answer{"modules": p.Modules, "module BTF": p.ModuleBTF} {
			if a != manifest.Yes {
				t.Errorf("%s: %s is %q", name, what, a)
			}
		}
		// 6.1 takes kfuncs of modules at hooks of these kinds alone.
		for _, h := range manifest.Hooks() {
			want := manifest.Yes
			if strings.HasPrefix(name, "6.1-") || name == "6.1" {
				switch h {
				case manifest.HookXDP, manifest.HookTC, manifest.HookFentry, manifest.HookFexit, manifest.HookTPBTF, manifest.HookLSM:
				default:
					want = manifest.No
				}
			}
			if p.Hooks[h] != want {
				t.Errorf("%s: hook %s is %q, want %q", name, h, p.Hooks[h], want)
			}
		}
		if p.Lockdown != manifest.No || p.ModuleSig != manifest.No {
			t.Errorf("%s: lockdown %q, signatures %q", name, p.Lockdown, p.ModuleSig)
		}
	}
}

// TestRequirementsOnStockKernels says of each requirement which kernels meet it.
func TestRequirementsOnStockKernels(t *testing.T) {
	btf := func(s string) manifest.Requirements { return manifest.Requirements{BTF: []string{s}} }
	config := func(s string) manifest.Requirements { return manifest.Requirements{Config: []string{s}} }
	symbol := func(s string) manifest.Requirements { return manifest.Requirements{Symbols: []string{s}} }
	release := func(s string) manifest.Requirements { return manifest.Requirements{Release: s} }
	all, none := strings.Join(stockKernels, " "), ""
	const old, new, rt = "6.1 6.1-cloud 6.1-rt", "6.12 6.12-cloud 6.12-rt", "6.1-rt 6.12-rt"
	cases := []struct {
		req  manifest.Requirements
		want string
	}{
		{release(">=6.1"), all}, {release(">=6.12"), new}, {release("<6.12"), old}, {release("6.1.192"), old}, {release(">6.12.117"), none},
		{config("BPF_SYSCALL=y && NET_CLS_ACT"), all}, {config("PREEMPT_RT"), rt}, {config("!PREEMPT_RT && WLAN"), "6.1 6.12"},
		{config("FUNCTION_ERROR_INJECTION=y"), none}, {config("FPROBE && NETKIT"), new}, {config("NR_CPUS>=8192 && HZ=250"), all},
		{config("NET_CLS_BPF=m"), all}, {config("NET_CLS_BPF=y"), none}, {config("RETPOLINE || MITIGATION_RETPOLINE"), all},
		{config(`DEFAULT_HOSTNAME="(none)"`), all}, {config("PHYSICAL_START>=0x1000000"), all},
		{btf("struct sk_buff.len size=4: unsigned int"), all}, {btf("struct sk_buff.len: u32"), none}, {btf("struct sk_buff.len: int"), none},
		{btf("struct sk_buff.tstamp_type"), new}, {btf("struct sk_buff.mono_delivery_time"), old}, {btf("struct sk_buff.pkt_type size=1"), none},
		{btf("struct task_struct.comm: char [16]"), all}, {btf("struct task_struct.comm size=32"), none}, {btf("struct task_struct.comm: char *"), none},
		{btf("struct net_device.dev_addr: const unsigned char *"), all}, {btf("struct sock.sk_receive_queue: struct sk_buff_head"), all},
		{btf("struct sock.__sk_common.skc_family size=2: unsigned short"), all}, {btf("struct spinlock.rlock"), "6.1 6.1-cloud 6.12 6.12-cloud"},
		{btf("typedef u64 size=8: unsigned long long"), all}, {btf("typedef u64: __u64"), all}, {btf("typedef u64: s64"), none},
		{btf("enum bpf_attach_type size=4"), all}, {btf("enum bpf_attach_type.BPF_TCX_INGRESS"), new},
		{btf("func tcp_v4_rcv(struct sk_buff *) -> int"), all}, {btf("func tcp_v4_rcv(struct sk_buff *) -> void"), none},
		{btf("func tcp_v4_rcv(struct sk_buff *, int) -> int"), none}, {btf("func tcp_v4_rcv(_) -> _"), all},
		{btf("func tcx_prog_attach"), new}, {btf("func _printk(const char *, ...) -> int"), all}, {btf("func _printk(const char *) -> int"), none},
		{btf("func virtnet_poll(struct napi_struct *, int) -> int"), all}, // in a module
		{btf("func kfree_skb_reason(struct sk_buff *, enum skb_drop_reason) -> void"), old},
		{symbol("sk_free"), all}, {symbol("tcp_hashinfo"), old}, {symbol("kallsyms_lookup_name"), none},
	}
	for _, name := range stockKernels {
		p := stockProfile(t, name)
		c := manifest.NewChecker(p.Kernel(BTFLookup(p)))
		for _, x := range cases {
			found := c.Check(x.req)
			if want := slices.Contains(strings.Fields(x.want), name); want != (len(found) == 0) {
				t.Errorf("%s: %+v: want it met: %v, found %v", name, x.req, want, found)
			}
			for _, f := range found {
				if f.Answer != manifest.No || f.Found == "" {
					t.Errorf("%s: %+v: %+v", name, x.req, f)
				}
			}
		}
	}
}
