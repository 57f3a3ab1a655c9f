// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// measureInstall takes `iupkg install` of what is in the store already, in a machine,
// from the start to the first packet that is handled. Its baseline is bpftool's prog load
// and attach of a comparable eBPF program in the same boot.
func measureInstall(ctx context.Context, dir string) ([]result, error) {
	file, err := filepath.Abs(filepath.Join(dir, "warm.json"))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout", "30m", "./internal/vmtest", "-run", "^TestWarmInstall$")
	cmd.Env = append(os.Environ(), "IUPKG_LATENCY="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r result
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	return []result{r}, nil
}
