// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
)

// maxInput is more than what is read here of files whose format does not say, bytes.
const maxInput = 16 << 20

// readInput reads a file that the user names, which may be a pipe or a device: what has no
// end must not take the machine's memory. limit is in bytes.
func readInput(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s: has more than %d bytes", path, limit)
	}
	return b, err
}
