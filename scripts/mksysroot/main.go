// SPDX-License-Identifier: Apache-2.0

// Mksysroot builds core for the kernel target into the cache, so that `make build` has done all the long work and the
// first `iupkg build` is quick. It prints the folder.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/iupkg/iupkg/toolchain"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cache, err := toolchain.DefaultCacheDir()
	if err == nil {
		var dir string
		if dir, err = toolchain.Sysroot(ctx, cache); err == nil {
			fmt.Println(dir)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "mksysroot: error:", err)
	os.Exit(1)
}
