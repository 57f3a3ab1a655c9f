// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The kernel's own answer to random expressions stands in
// testdata/kconfig_conf.txt: first the .config of the symbols below, then
// "EXPRESSION => VALUE". It is made anew, and compared, by
//
//	go test -run KernelsOwn -conf /path/to/scripts/kconfig/conf -conf-count 1500 -update ./manifest
//
// Where the kernels' tools are installed, as they are with headers on Debian,
// each version's is asked for ten thousand more.
var (
	confTool  = flag.String("conf", "", "the kernel's scripts/kconfig/conf")
	confCount = flag.Int("conf-count", 10_000, "how many expressions to ask it for")
)

const confInstalled = "/usr/lib/linux-kbuild-*/scripts/kconfig/conf"

const confGolden = "testdata/kconfig_conf.txt"

const confSymbols = `config MODULES
	def_bool y
	modules
config BY
	def_bool y
config BN
	def_bool n
config TY
	def_tristate y
config TM
	def_tristate m
config TN
	def_tristate n
config I64
	int
	default 64
config INEG
	int
	default -3
config H40
	hex
	default 0x40
config SABC
	string
	default "abc"
config S10
	string
	default "10"
config SEMPTY
	string
	default ""
`

func TestKernelsOwnConfig(t *testing.T) {
	tools := []string{*confTool}
	if *confTool == "" {
		tools, _ = filepath.Glob(confInstalled)
	}
	if testing.Short() {
		tools = nil
	}
	for i, tool := range tools {
		text := askConf(t, tool, uint64(i))
		if *update && *confTool != "" {
			if err := os.WriteFile(confGolden, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%s: %d expressions", tool, compareConf(t, text))
	}
	compareConf(t, string(read(t, confGolden)))
}

func compareConf(t *testing.T, text string) (expressions int) {
	t.Helper()
	config, cases, _ := strings.Cut(text, "===\n")
	vals, err := ParseKernelConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	n, count := 0, map[string]int{}
	for line := range strings.Lines(cases) {
		in, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " => ")
		e, err := ParseConfigExpr(in)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := e.Eval(func(s string) (string, bool) { return vals[s], true })
		if got.String() != want {
			t.Errorf("%s is %s, the kernel says %s", in, got, want)
		}
		n++
		count[want]++
	}
	if n < 1000 || count["y"] < n/10 || count["m"] < n/20 || count["n"] < n/10 {
		t.Errorf("too few or too like: %d expressions, %v", n, count)
	}
	return n
}

func askConf(t *testing.T, tool string, seed uint64) string {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(6+seed, 12))
	var exprs []string
	kconfig := confSymbols
	for i := range *confCount {
		exprs = append(exprs, randomExpr(r, 3))
		kconfig += fmt.Sprintf("config R%d\n\tdef_tristate %s\n", i, exprs[i])
	}
	file := filepath.Join(dir, "Kconfig")
	if err := os.WriteFile(file, []byte(kconfig), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, "--alldefconfig", file)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KCONFIG_CONFIG="+filepath.Join(dir, "out"), "srctree="+dir)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("conf: %v\n%s", err, b)
	}
	vals, err := ParseKernelConfig(read(t, filepath.Join(dir, "out")))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range []string{"BY", "TY", "TM", "I64", "INEG", "H40", "SABC", "S10", "SEMPTY"} {
		fmt.Fprintf(&b, "CONFIG_%s=%s\n", s, vals[s])
	}
	b.WriteString("===\n")
	for i, e := range exprs {
		v := vals[fmt.Sprintf("R%d", i)]
		if v == "" {
			v = "n"
		}
		fmt.Fprintf(&b, "%s => %s\n", e, v)
	}
	return b.String()
}

func randomExpr(r *rand.Rand, depth int) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	if depth == 0 || r.IntN(4) == 0 {
		sym := pick("BY", "BN", "TY", "TM", "TN", "TM")
		if r.IntN(2) == 0 {
			return sym
		}
		all := []string{"BY", "BN", "TY", "TM", "TN", "I64", "INEG", "H40", "SABC", "S10", "SEMPTY",
			"y", "m", "n", "64", "0x40", "-3", "2", "1", "0", "9", "10", `"abc"`, `"abd"`, `"10"`, `"64"`, `""`, `"y"`}
		l, op, rr := pick(all...), pick("=", "!=", "<", "<=", ">", ">="), pick(all...)
		// Where a symbol is not set .config does not tell its type, and an
		// order among other types is not what the kernel has.
		off := func(s string) bool { return s == "BN" || s == "TN" }
		tri := func(s string) bool { return strings.Contains(" BY BN TY TM TN y m n \"y\" ", " "+s+" ") }
		if strings.ContainsAny(op, "<>") && (off(l) && !tri(rr) || off(rr) && !tri(l)) {
			op = "="
		}
		return l + op + rr
	}
	switch r.IntN(5) {
	case 0:
		return "!(" + randomExpr(r, depth-1) + ")"
	case 1:
		return "!" + randomExpr(r, 0)
	case 2:
		return "(" + randomExpr(r, depth-1) + ") || (" + randomExpr(r, depth-1) + ")"
	case 3:
		return "(" + randomExpr(r, depth-1) + ") && (" + randomExpr(r, depth-1) + ")"
	}
	return randomExpr(r, depth-1) + pick(" && ", " || ") + randomExpr(r, depth-1)
}
