// SPDX-License-Identifier: Apache-2.0

package sideload

import (
	"bufio"
	"fmt"
	"os"
)

// Memory is what the kernel has allocated for itself, in KiB. Page cache and user
// space are not in it; inode and dentry caches are dropped before.
func Memory() (int64, error) {
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0); err != nil {
		return 0, err
	}
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var sum int64
	for s := bufio.NewScanner(f); s.Scan(); {
		var name string
		var kib int64
		if _, err := fmt.Sscan(s.Text(), &name, &kib); err != nil {
			continue
		}
		switch name {
		case "SUnreclaim:", "VmallocUsed:", "Percpu:", "KernelStack:", "PageTables:":
			sum += kib
		}
	}
	return sum, nil
}
