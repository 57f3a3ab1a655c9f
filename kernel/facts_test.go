// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
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
		k, err := readKconfig(t.Context(), path)
		c := k.all()
		for sym, want := range c {
			if val, known := k.lookup(sym); !known || val != want {
				t.Errorf("%s: %s is %q, %v and %q among all", name, sym, val, known, want)
			}
		}
		if val, known := k.lookup("PREEMPT_RT"); !known || val != "n" {
			t.Errorf("%s: what is not set is %q, %v", name, val, known)
		}
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
		if _, err := readKconfig(t.Context(), path); err == nil {
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

// TestBootBTF counts once in a boot, and again if the kernel or what was kept is another.
func TestBootBTF(t *testing.T) {
	raw := func(types int, strs string) []byte {
		b := []byte{0x9f, 0xeb, 1, 0}
		for _, n := range []int{btfHeaderSize, 0, types * btfTypeSize, types * btfTypeSize, len(strs)} {
			b = binary.LittleEndian.AppendUint32(b, uint32(n))
		}
		for range types {
			b = append(b, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0) // a forward declaration
		}
		return append(b, strs...)
	}
	dir := t.TempDir()
	file, kept := filepath.Join(dir, "vmlinux"), filepath.Join(dir, "run", "btf.json")
	for _, step := range []struct {
		name    string
		content []byte // of the file; nil: as before
		keep    string // is written to what is kept, if it is not empty
		boot    string
		want    btfBase
	}{
		{"first", raw(3, "\x00a\x00"), "", "one", btfBase{3, 3}},
		{"from what was kept", raw(3, "\x00a\x00")[:btfHeaderSize], "", "one", btfBase{3, 3}},
		{"another kernel", raw(2, "\x00a\x00"), "", "one", btfBase{2, 3}},
		{"another boot", raw(2, "\x00a\x00"), "", "two", btfBase{2, 3}},
		{"damaged", nil, "{", "two", btfBase{2, 3}},
		{"no types", nil, `{"boot":"two","types":0}`, "two", btfBase{2, 3}},
		{"no boot", nil, "", "", btfBase{2, 3}},
		{"no boot again", raw(4, "\x00a\x00"), "", "", btfBase{4, 3}},
	} {
		if step.content != nil {
			if err := os.WriteFile(file, step.content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if step.keep != "" {
			if err := os.WriteFile(kept, []byte(step.keep), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := bootBTF(file, filepath.Dir(kept), step.boot)
		if err != nil || got != step.want {
			t.Errorf("%s: got %v, %v, want %v", step.name, got, err, step.want)
		}
	}
	if err := os.WriteFile(file, []byte("BTF"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bootBTF(file, filepath.Dir(kept), "two"); err == nil {
		t.Error("3 bytes were taken for BTF")
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

// TestSignatureForced: what a kernel was built to demand counts, whatever the one that
// runs demands.
func TestSignatureForced(t *testing.T) {
	forced := kconfig("CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n")
	if got := signatureEnforced(manifest.No, forced.lookup); got != manifest.Yes {
		t.Errorf("with MODULE_SIG_FORCE: %s", got)
	}
	if got := signatureEnforced(manifest.Yes, kconfig("CONFIG_A=y\n").lookup); got != manifest.Yes {
		t.Errorf("locked down: %s", got)
	}
}
