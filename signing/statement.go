// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Media and other types of what a publisher signs.
const (
	BundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	PayloadType     = "application/vnd.in-toto+json"
	StatementType   = "https://in-toto.io/Statement/v1"
	PredicateType   = "https://iupkg.dev/extension/v1"

	// statementTypeOld differs in nothing that matters here; cosign still writes it.
	statementTypeOld = "https://in-toto.io/Statement/v0.1"
)

// Predicate is what a publisher says of the subject: its signature holds for this
// name, this version and these requirements, and no others.
type Predicate struct {
	Name      string          `json:"name"`
	Version   string          `json:"version"`
	Object    string          `json:"object"`
	Requires  json.RawMessage `json:"requires,omitempty"`
	Hooks     []string        `json:"hooks"`
	Toolchain json.RawMessage `json:"toolchain,omitempty"`
}

// Statement is an in-toto statement v1 with our predicate about one OCI manifest.
type Statement struct {
	Digest    string // of the OCI manifest
	Predicate Predicate
}

// encode is the payload that is signed. The same statement always gives the same
// bytes.
func (s *Statement) encode() ([]byte, error) {
	hash, err := digestHex(s.Digest)
	if err != nil {
		return nil, err
	}
	p := s.Predicate
	if p.Name == "" || p.Version == "" {
		return nil, errors.New("a statement needs the name and the version of the package")
	}
	if _, err := digestHex(p.Object); err != nil {
		return nil, fmt.Errorf("object: %w", err)
	}
	if p.Hooks == nil {
		p.Hooks = []string{}
	}
	predicate, err := marshal(p)
	if err != nil {
		return nil, err
	}
	att := &Attestation{
		Subjects:      []Subject{{Name: p.Name, Digest: map[string]string{"sha256": hash}}},
		PredicateType: PredicateType,
		Predicate:     predicate,
	}
	return att.encode()
}

// statement is the attestation as one of ours about the OCI manifest of that
// digest, and about nothing else.
func (a *Attestation) statement(digest string) (*Statement, error) {
	if a.PredicateType != PredicateType {
		return nil, fmt.Errorf("predicate type is %q, not %q", a.PredicateType, PredicateType)
	}
	if len(a.Subjects) != 1 {
		return nil, fmt.Errorf("the statement has %d subjects, not one", len(a.Subjects))
	}
	s := &Statement{Digest: "sha256:" + a.Subjects[0].Digest["sha256"]}
	if _, err := digestHex(s.Digest); err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	if s.Digest != digest {
		return nil, fmt.Errorf("the statement is about %s, not %s", s.Digest, digest)
	}
	if err := strictJSON(a.Predicate, &s.Predicate); err != nil {
		return nil, fmt.Errorf("malformed predicate: %w", err)
	}
	return s, nil
}

// marshal is json.Marshal that leaves "<", ">" and "&" as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// strictJSON decodes one value and refuses fields that v does not have, and
// anything after the value.
func strictJSON(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("data after the value")
	}
	return nil
}

// digestHex checks "sha256:" and 64 lower-case hex digits and returns the digits.
func digestHex(digest string) (string, error) {
	h, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(h) != 64 || strings.Trim(h, "0123456789abcdef") != "" {
		return "", fmt.Errorf("malformed digest %.80q: want sha256: and 64 hex digits", digest)
	}
	return h, nil
}

func digestBytes(digest string) ([]byte, error) {
	h, err := digestHex(digest)
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(h)
}
