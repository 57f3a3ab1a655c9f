// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/iupkg/iupkg/manifest"
)

const testConfig = `#
# Linux/x86 6.1.0 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="gcc (Debian) = 12"
CONFIG_BPF_SYSCALL=y
CONFIG_NET_CLS_BPF=m
# CONFIG_PREEMPT_RT is not set
CONFIG_HZ=250
`

func gz(t *testing.T, s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReadConfigFile(t *testing.T) {
	image := "\x7fELF....IKCFG_ST" + gz(t, testConfig) + "IKCFG_ED...."
	for name, content := range map[string]string{
		"config": testConfig, "config.gz": gz(t, testConfig), "configs.ko": image, "configs.ko.gz": gz(t, image),
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := readConfigFile(t.Context(), path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c, err := parseConfig(b)
		if err != nil || len(c) != 4 || c["BPF_SYSCALL"] != "y" || c["NET_CLS_BPF"] != "m" || c["HZ"] != "250" ||
			c["CC_VERSION_TEXT"] != `"gcc (Debian) = 12"` {
			t.Errorf("%s: got %v, %v", name, c, err)
		}
	}
	for name, content := range map[string]string{
		"empty": "", "html": "<html>", "cut.gz": gz(t, testConfig)[:20], "no-end.ko": "\x7fELF IKCFG_ST" + gz(t, testConfig),
		"plain.ko": "\x7fELF", "big": strings.Repeat("CONFIG_A=y\n", maxConfig/8),
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := readConfigFile(t.Context(), path)
		if err == nil {
			_, err = parseConfig(b)
		}
		if err == nil {
			t.Errorf("%s was taken for a configuration", name)
		}
	}
}

// TestFacts reads this machine. What it must say anywhere is little.
func TestFacts(t *testing.T) {
	p, err := Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	if p.Release != strings.TrimSpace(string(b)) || p.Arch != runtime.GOARCH {
		t.Errorf("release %q, arch %q", p.Release, p.Arch)
	}
	if (p.Config == nil) != (p.ConfigSource == "") {
		t.Errorf("%d symbols from %q", len(p.Config), p.ConfigSource)
	}
	t.Logf("%d symbols from %q, %d bytes of BTF, modules %s, their BTF %s, signatures %s, lockdown %s, hooks %v, runtime %+v", len(p.Config),
		p.ConfigSource, len(p.BTF), p.Modules, p.ModuleBTF, p.ModuleSig, p.Lockdown, p.Hooks, p.Runtime)
	e, err := manifest.EncodeProfile(p)
	if err != nil {
		t.Fatal(err)
	}
	q, err := manifest.ParseProfile(e, "")
	if err != nil || !bytes.Equal(p.BTF, q.BTF) {
		t.Errorf("profile does not survive: %v", err)
	}
}

func TestBTF(t *testing.T) {
	raw, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		t.Skip(err)
	}
	b, err := NewBTF(raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]manifest.Answer{
		"struct sk_buff":                      manifest.Yes,
		"struct sk_buff.len":                  manifest.Yes,
		"struct sk_buff.sk":                   manifest.Yes, // in an anonymous struct or union
		"struct sock.__sk_common.skc_family":  manifest.Yes,
		"struct sock.__sk_common.skc_colours": manifest.No,
		"struct sk_buff.lenn":                 manifest.No,
		"struct no_such_struct":               manifest.No,
		"union sk_buff":                       manifest.No,
		"func tcp_v4_rcv":                     manifest.Yes,
		"func tcp_v9_rcv":                     manifest.No,
		"enum bpf_cmd.BPF_PROG_LOAD":          manifest.Yes,
		"enum bpf_cmd.BPF_PROG_UNLOAD":        manifest.No,
		"typedef u32":                         manifest.Yes,
	} {
		req, err := manifest.ParseBTFReq(s)
		if err != nil {
			t.Fatal(err)
		}
		a, found := b.LookupBTF(req)
		if a != want || (found == "") != (a == manifest.Yes) {
			t.Errorf("%s: %s (%s), want %s", s, a, found, want)
		}
	}
	if _, err := NewBTF(raw[:len(raw)/2], nil); err == nil {
		t.Error("half of a BTF was taken")
	}
}

// TestWalkTypes counts the types of this kernel as the library does.
func TestWalkTypes(t *testing.T) {
	raw, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		t.Skip(err)
	}
	types, _, err := btfSections(raw)
	if err != nil {
		t.Fatal(err)
	}
	n, err := walkTypes(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBTF(raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.vmlinux.TypeByID(btf.TypeID(n)); err != nil {
		t.Errorf("there is no type %d: %v", n, err)
	}
	if _, err := b.vmlinux.TypeByID(btf.TypeID(n + 1)); err == nil {
		t.Errorf("there is a type %d", n+1)
	}
	for _, bad := range [][]byte{nil, raw[:20], raw[:len(raw)/2], make([]byte, 100)} {
		if _, err := newBTFBase(bad); err == nil {
			t.Errorf("%d bytes were taken for BTF", len(bad))
		}
	}
	if _, err := walkTypes(types[:len(types)-1], nil); err == nil {
		t.Error("types that are cut short were taken")
	}
}

// TestStubs loads what can be loaded without the runtime's kfuncs, and checks
// that the slot gets into the others.
func TestStubs(t *testing.T) {
	for hook := range stubFor {
		spec, err := slotStub(hook, 1023, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, in := range spec.Instructions {
			if in.Constant == 1023 {
				n++
			}
			if in.Constant == stubSlot {
				t.Errorf("%s: the mark is still there", hook)
			}
		}
		if n != 1 {
			t.Errorf("%s: the slot is there %d times", hook, n)
		}
	}
	if _, err := slotStub(HookLSM, 1, nil); err == nil {
		t.Error("a stub for lsm without what it attaches to")
	}
	for _, h := range harvests {
		if _, err := stubSpec(h.file, h.program); err != nil {
			t.Error(err)
		}
	}
}
