// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The lists and limits are those of iu_abi.h.
func TestSymbolsMatchHeader(t *testing.T) {
	b, err := os.ReadFile("../kernel/module/iu_abi.h")
	if err != nil {
		t.Fatal(err)
	}
	header := string(b)
	var runtime, kernel []string
	for _, m := range regexp.MustCompile(`\sX\([^,()]+,\s*(\w+),`).FindAllStringSubmatch(header, -1) {
		runtime = append(runtime, m[1])
	}
	for _, m := range regexp.MustCompile(`\sX\((\w+)\)`).FindAllStringSubmatch(header, -1) {
		kernel = append(kernel, m[1])
	}
	for _, c := range []struct {
		name      string
		got, want []string
	}{{"runtimeSymbols", runtimeSymbols, runtime}, {"kernelSymbols", kernelSymbols, kernel}} {
		if !slices.Equal(slices.Sorted(slices.Values(c.got)), slices.Sorted(slices.Values(c.want))) {
			t.Errorf("%s are\n%v\nthe header has\n%v", c.name, c.got, c.want)
		}
	}
	for name, got := range map[string]int{"IU_STACK_SIZE": stackSize, "IU_STACK_RESERVE": stackReserve, "IU_FRAME_MAX": frameMax} {
		m := regexp.MustCompile(`#define ` + name + `\s+(\d+)`).FindStringSubmatch(header)
		if m == nil || m[1] != strconv.Itoa(got) {
			t.Errorf("%s: %d, the header has %v", name, got, m)
		}
	}
	if !strings.Contains(header, `"`+fuelSymbol+`"`) {
		t.Errorf("the header has no %s", fuelSymbol)
	}
}

// The vetted crates are those that iu is locked to.
func TestVettedLock(t *testing.T) {
	for _, dir := range []string{"iu", "iu-macros", "samples/xdp_count", "samples/kernel_types", "samples/panic_first", "samples/spin", "samples/recurse"} {
		b, err := os.ReadFile("../runtime-crate/" + dir + "/Cargo.lock")
		if err != nil {
			t.Fatal(err)
		}
		if dir == "iu" && string(b) != string(vettedLock) {
			t.Error("vetted.lock is not runtime-crate/iu/Cargo.lock: read what changed, then copy it")
		}
		packages, err := parseLock(b)
		if err != nil {
			t.Fatal(err)
		}
		known, err := parseLock(vettedLock)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packages {
			if p.Source != "" && !slices.Contains(known, p) {
				t.Errorf("%s/Cargo.lock has %s %s, which is not vetted", dir, p.Name, p.Version)
			}
		}
	}
}
