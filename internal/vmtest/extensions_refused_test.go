// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"os/exec"
	"path/filepath"
	"regexp"
)

// refusedPrograms loads what would do in eBPF what extensions do, and checks that a stock kernel refuses it
// for the reason that the documents give.
func (b *bed) refusedPrograms() {
	for macro, reason := range map[string]string{
		"OVERRIDE": `bpf_override_return#58`,
		"SYSCALL":  `__x64_sys_read\(\) is not modifiable`,
		"SUBMIT":   `submit_bio_noacct\(\) is not modifiable`,
		"RESULT":   `invalid bpf_context access`,
		"LOOK":     ``, // is let in
		"LOCKED":   `function calls are not allowed while holding a lock`,
		"RESERVE":  `R2 is not a known constant`,
	} {
		object := filepath.Join(b.t.TempDir(), macro+".o")
		out, err := exec.CommandContext(b.ctx, "clang-22", "-O2", "-g", "-Wno-unused-variable", "-target", "bpf", "-D"+macro, "-c", "testdata/refused.bpf.c", "-o", object).CombinedOutput()
		if err != nil {
			b.t.Fatalf("%v\n%s", err, out)
		}
		r, err := b.m.Run(b.ctx, "bash", "-o", "pipefail", "-c", "bpftool prog load "+object+" /sys/fs/bpf/refused-"+macro+" 2>&1 | tail -c 3000")
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Logf("%s: exit %d\n%s", macro, r.Exit, r.Stdout)
		if (r.Exit == 0) != (reason == "") || !regexp.MustCompile(reason).MatchString(r.Stdout) {
			b.t.Errorf("%s: exit %d, want %q:\n%s", macro, r.Exit, reason, r.Stdout)
		}
	}
}
