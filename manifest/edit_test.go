// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// editCases runs the cases of a file, each an edit of the base file:
//
//	=== name of the case
//	OLD => NEW        (\n in them is a newline)
//	---
//	what parse says: "ok" or the error
func editCases(t *testing.T, base, file string, parse func([]byte) error) {
	t.Helper()
	orig, err := os.ReadFile(base)
	if err != nil {
		t.Fatal(err)
	}
	if err := parse(orig); err != nil {
		t.Fatalf("%s: %v", base, err)
	}
	cases, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for c := range strings.SplitSeq(strings.TrimPrefix(string(cases), "=== "), "\n=== ") {
		name, body, _ := strings.Cut(c+"\n", "\n")
		edits, want, _ := strings.Cut(body, "---\n")
		t.Run(name, func(t *testing.T) {
			b := string(orig)
			for e := range strings.Lines(edits) {
				from, to, ok := strings.Cut(strings.TrimSuffix(e, "\n"), " => ")
				nl := strings.NewReplacer(`\\n`, `\n`, `\n`, "\n")
				if from = nl.Replace(from); !ok || !strings.Contains(b, from) {
					t.Fatalf("%q is not there", from)
				}
				b = strings.Replace(b, from, nl.Replace(to), 1)
			}
			got := "ok"
			if err := parse([]byte(b)); err != nil {
				got = err.Error()
			}
			if got != strings.TrimRight(want, "\n") && !*update {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			out += "=== " + name + "\n" + edits + "---\n" + got + "\n"
		})
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(file, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestManifestCases(t *testing.T) {
	editCases(t, "testdata/bmc.json", "testdata/manifest.txt", func(b []byte) error {
		_, err := Parse(b)
		return err
	})
}

func TestProjectCases(t *testing.T) {
	editCases(t, "testdata/bmc.toml", "testdata/project.txt", func(b []byte) error {
		_, err := ParseProject(b)
		return err
	})
}

func TestProfileCases(t *testing.T) {
	editCases(t, "testdata/bmc_profile.json", "testdata/profile.txt", func(b []byte) error {
		_, err := ParseProfile(b, "profile.json")
		return err
	})
}

// The golden files are canonical.
func TestCanonical(t *testing.T) {
	b := read(t, "testdata/bmc.json")
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Encode(); err != nil || string(got) != string(b) {
		t.Errorf("encoded manifest differs: %v\n%s", err, got)
	}
	b = read(t, "testdata/bmc_profile.json")
	p, err := ParseProfile(b, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := EncodeProfile(p); err != nil || string(got) != string(b) {
		t.Errorf("encoded profile differs: %v\n%s", err, got)
	}
}

func TestProject(t *testing.T) {
	p, err := ParseProject(read(t, "testdata/bmc.toml"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{Package:{Name:bmc Version:1.2.1 Description:memcached GET in XDP License:GPL-2.0-only Repository:} ` +
		`Kernel:{Release:>=6.1 Config:[BPF_SYSCALL=y NET_CLS_ACT !PREEMPT_RT] BTF:[struct sk_buff.len func tcp_v4_rcv] Symbols:[]} ` +
		`Dependencies:map[] Conflicts:map[] Provides:map[] Features:map[] ` +
		`Params:[{Name:iface Type:string Default: Min: Max: Doc:network interface} {Name:port Type:u64 Default:11211 Min:1 Max:65535 Doc:}] ` +
		`Programs:[{Name:rx Hook:xdp Attach:map[interface:${iface} mode:auto] OnFault:pass MaxFaults:0} ` +
		`{Name:tx Hook:tc Attach:map[direction:egress interface:${iface}] OnFault:ok MaxFaults:3}] ` +
		`Maps:[] SelfTests:[] Variants:[{When:X86} {When:!X86}]}`
	if got := fmt.Sprintf("%+v", *p); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A profile's BTF survives, and too much of it is refused.
func TestProfileBTF(t *testing.T) {
	p := &Profile{Schema: 1, Release: "6.12.117", Arch: "amd64", BTF: []byte(strings.Repeat("btf", 1000))}
	b, err := EncodeProfile(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := EncodeProfile(p)
	if err != nil || string(again) != string(b) {
		t.Error("not deterministic", err)
	}
	q, err := ParseProfile(b, "")
	if err != nil || string(q.BTF) != string(p.BTF) || q.Config != nil {
		t.Errorf("got %+v, %v", q, err)
	}
	bomb := &Profile{Schema: 1, Release: "6.12.117", Arch: "amd64", BTF: make([]byte, MaxBTF+1)}
	if b, err = EncodeProfile(bomb); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseProfile(b, ""); err == nil || !strings.Contains(err.Error(), "btf: has more than") {
		t.Errorf("a bomb of %d bytes: %v", len(b), err)
	}
}

func TestSettings(t *testing.T) {
	m, err := Parse(read(t, "testdata/bmc.json"))
	if err != nil {
		t.Fatal(err)
	}
	set := func(s string) string {
		in := map[string]string{}
		for kv := range strings.FieldsSeq(s) {
			k, v, _ := strings.Cut(kv, "=")
			in[k] = v
		}
		vals, err := m.Settings(in)
		if err != nil {
			return "error: " + err.Error()
		}
		out := fmt.Sprint(vals)
		for i := range m.Programs {
			to, err := m.Programs[i].Target(vals)
			out += fmt.Sprint(" ", to)
			if err != nil {
				out += " error: " + err.Error()
			}
		}
		return out
	}
	for in, want := range map[string]string{
		"iface=eth0":                 "map[iface:eth0 port:11211] map[interface:eth0 mode:auto] map[direction:egress interface:eth0]",
		"iface=eth0 port=80":         "map[iface:eth0 port:80] map[interface:eth0 mode:auto] map[direction:egress interface:eth0]",
		"port=80":                    "error: bmc needs a value for iface (network interface)",
		"iface=eth0 port=0":          "error: bmc: port is 0: want 1 to 65535",
		"iface=eth0 port=-1":         `error: bmc: port is "-1": want a whole number from 1 to 65535`,
		"iface=eth0 prot=1":          `error: bmc has no parameter "prot": it has port, iface`,
		"iface=":                     "error: bmc: iface is empty",
		"iface=${port}":              `error: bmc: iface is "${port}": $ is not allowed`,
		"iface=averyveryverylongone": `map[iface:averyveryverylongone port:11211] map[] error: program rx: "averyveryverylongone" is not the name of a network interface map[] error: program tx: "averyveryverylongone" is not the name of a network interface`,
	} {
		if got := set(in); got != want {
			t.Errorf("%s: got %s\nwant %s", in, got, want)
		}
	}
	q := Param{Name: "x", Type: ParamI64}
	if b, err := q.Bits("-1"); err != nil || b != 1<<64-1 {
		t.Error(b, err)
	}
}

type fakeBTF map[string]Answer

func (f fakeBTF) LookupBTF(r BTFReq) (Answer, string) {
	a := f[r.String()]
	if a == No {
		return a, "struct sk_buff has no member " + r.Path[0]
	}
	return a, ""
}

func TestCheck(t *testing.T) {
	p, err := ParseProfile(read(t, "testdata/bmc_profile.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	btf := fakeBTF{"struct sk_buff.len": Yes, "struct sk_buff.xyz": No, "struct sk_buff.abc": Unknown}
	req := Requirements{Arch: "amd64", Release: ">=6.1.100", Hooks: []Hook{HookXDP, HookTC}, ABI: 1,
		Config: []string{"BPF_SYSCALL=y", "NET_CLS_ACT && !PREEMPT_RT", "NR_CPUS>=64"}, BTF: []string{"struct sk_buff.len"}}
	if f := p.Check(req, btf); f != nil {
		t.Errorf("findings where all is met: %v", f)
	}
	req = Requirements{Arch: "arm64", Release: ">=6.99", Hooks: []Hook{HookXDP, "kprobe"}, ABI: 2,
		Config: []string{"FUNCTION_ERROR_INJECTION=y && BPF_SYSCALL", "A || B=y", "A = B", "("},
		BTF:    []string{"struct sk_buff.xyz", "struct sk_buff.abc", "class x"}}
	const want = `no needs architecture arm64; this kernel is amd64
no needs kernel release >=6.99; this kernel is 6.1.192
unknown needs hook kprobe; it could not be told whether this kernel offers it
no needs runtime ABI 2; the loaded runtime has 1
no needs FUNCTION_ERROR_INJECTION=y; this kernel has it off (/boot/config-6.1.0-56-amd64)
no needs A || B=y; this kernel has A off, B off (/boot/config-6.1.0-56-amd64)
no needs (; config expression "(", column 2: want a symbol and found the end
no needs struct sk_buff.xyz; struct sk_buff has no member xyz
unknown needs struct sk_buff.abc; it could not be told whether this kernel has it
no needs class x; "class x" is not a BTF requirement: "class" is none of struct, union, enum, typedef and func: write "struct NAME.member" or "func NAME"
`
	var got strings.Builder
	for _, f := range p.Check(req, btf) {
		fmt.Fprintln(&got, f.Answer, f)
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	p.Config, p.Runtime = nil, nil
	f := p.Check(Requirements{ABI: 9, Config: []string{"A || B"}, BTF: []string{"func x"}}, nil)
	if len(f) != 2 || f[0].Answer != Unknown || f[1].Answer != Unknown || !Fits(f) {
		t.Errorf("nothing is known, and got %v", f)
	}
}

func TestParseKernelConfig(t *testing.T) {
	c, err := ParseKernelConfig([]byte("#\n# CONFIG_A is not set\nCONFIG_B=y\n\nCONFIG_C=\"a=b\"\nCONFIG_64BIT=y\n"))
	if err != nil || fmt.Sprint(c) != `map[64BIT:y B:y C:"a=b"]` {
		t.Error(c, err)
	}
	for _, bad := range []string{"CONFIG_A", "A=y", "CONFIG_=y", "CONFIG_A B=y", "\x7fELF"} {
		if _, err := ParseKernelConfig([]byte("CONFIG_B=y\n" + bad)); err == nil || !strings.HasPrefix(err.Error(), "2:1: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
