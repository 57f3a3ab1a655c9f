// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Parse reads a manifest and validates it. Errors are one or more SyntaxErrors.
func Parse(b []byte) (*Manifest, error) {
	m, err := ParseFile(b, "")
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// ParseFile is Parse of what is in a file, which errors name.
func ParseFile(b []byte, file string) (*Manifest, error) {
	var m Manifest
	at, err := strictJSON(b, &m, MaxManifest, file)
	if err != nil {
		return nil, err
	}
	if err := m.Validate(); err != nil {
		return nil, locate(err, file, at)
	}
	return &m, nil
}

// Encode writes the canonical form: fields in the order of the types, maps in
// the order of their keys, two spaces of indent, no HTML escapes, a newline at
// the end. It refuses what Parse would refuse.
func (m *Manifest) Encode() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	b, err := encodeJSON(m)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("manifest: has %d bytes, at most %d are allowed", len(b), MaxManifest)
	}
	return b, nil
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
