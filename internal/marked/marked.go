// SPDX-License-Identifier: Apache-2.0

// Package marked writes what a program has measured into a document that people write.
package marked

import (
	"bytes"
	"fmt"
	"os"
	"slices"
)

// Write puts text between the markers <!-- NAME:begin --> and <!-- NAME:end --> of a
// document, each on a line of its own.
func Write(path, name string, text []byte) error {
	begin, end := "<!-- "+name+":begin -->", "<!-- "+name+":end -->"
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, ok := bytes.Cut(doc, []byte(begin))
	_, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return fmt.Errorf("%s: no %s … %s", path, begin, end)
	}
	return os.WriteFile(path, slices.Concat(head, []byte(begin+"\n"), text, []byte(end), tail), 0o644)
}
