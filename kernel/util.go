// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"encoding/binary"
)

func sizeOf(v any) int { return binary.Size(v) }

// goString is the text of a NUL-terminated array that the kernel filled.
func goString(b []byte) string {
	if n := bytes.IndexByte(b, 0); n >= 0 {
		b = b[:n]
	}
	return string(b)
}
