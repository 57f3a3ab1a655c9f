// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"
	"strings"
	"testing"
)

const selfTestProject = `
[package]
name = "x"
version = "1.0.0"
license = "MIT"
[program.rx]
hook = "xdp"
[map.SEEN]
migrate = "copy"
counters = ["hits", "misses"]
[[selftest]]
name = "lets ARP pass"
program = "rx"
packet = "ffffffffffff 020000000001 0806"
expect = "pass"
`

func TestSelfTests(t *testing.T) {
	p, err := ParseProject([]byte(selfTestProject))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.SelfTests) != 1 || len(p.Maps) != 1 || p.Maps[0].Name != "SEEN" || p.Maps[0].Migrate != MigrateCopy ||
		!slices.Equal(p.Maps[0].Counters, []string{"hits", "misses"}) {
		t.Fatalf("%+v", p)
	}
	if b, err := p.SelfTests[0].Bytes(); err != nil || len(b) != 14 || b[12] != 8 {
		t.Errorf("% x, %v", b, err)
	}
	for change, want := range map[string]string{
		`"copy"`:                              "no migration",
		`"misses"`:                            "stands twice",
		`program = "rx"`:                      "there is no program",
		`expect = "pass"`:                     "no verdict of xdp",
		`"ffffffffffff 020000000001 0806"`:    "want 14 to 1500",
		`packet = "ffffffffffff 020000000001`: "packet",
	} {
		to := map[string]string{
			`"copy"`: `"move"`, `"misses"`: `"hits"`, `program = "rx"`: `program = "tx"`, `expect = "pass"`: `expect = "ok"`,
			`"ffffffffffff 020000000001 0806"`: `"ffff"`, `packet = "ffffffffffff 020000000001`: `packet = "xyz`,
		}[change]
		_, err := ParseProject([]byte(strings.Replace(selfTestProject, change, to, 1)))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "iupkg.toml:") {
			t.Errorf("%s: %v, want %q and where", to, err, want)
		}
	}
}
