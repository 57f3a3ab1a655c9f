// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Predicate types beside our own that may be said of an artifact.
const (
	ProvenanceType = "https://slsa.dev/provenance/v1"
	SBOMType       = "https://spdx.dev/Document"
)

// Attestation is an in-toto statement v1
// (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) of any
// predicate type.
type Attestation struct {
	Subjects      []Subject
	PredicateType string
	Predicate     json.RawMessage
}

// Subject is what a statement is about.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"` // algorithm to hex digits
}

type inTotoStatement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// About says whether the digest, "sha256:" and 64 hex digits, is one of the
// subjects'.
func (a *Attestation) About(digest string) bool {
	return slices.ContainsFunc(a.Subjects, func(s Subject) bool { return "sha256:"+s.Digest["sha256"] == digest })
}

// encode is the statement as JSON. The same statement always gives the same bytes.
func (a *Attestation) encode() ([]byte, error) {
	if len(a.Subjects) == 0 || a.PredicateType == "" {
		return nil, errors.New("a statement needs a subject and a predicate type")
	}
	return marshal(inTotoStatement{Type: StatementType, Subject: a.Subjects, PredicateType: a.PredicateType, Predicate: a.Predicate})
}

// ParseAttestation reads a statement that is not signed, or whose signature has
// been verified.
func ParseAttestation(payload []byte) (*Attestation, error) {
	var st inTotoStatement
	if err := strictJSON(payload, &st); err != nil {
		return nil, fmt.Errorf("malformed statement: %w", err)
	}
	if st.Type != StatementType && st.Type != statementTypeOld {
		return nil, fmt.Errorf("statement type is %.100q, not %q", st.Type, StatementType)
	}
	return &Attestation{Subjects: st.Subject, PredicateType: st.PredicateType, Predicate: st.Predicate}, nil
}

// PredicateTypeOf is what a bundle claims to be, before anything is verified; ""
// if it cannot be read.
func PredicateTypeOf(data []byte) string {
	b, err := parseBundle(data)
	if err != nil {
		return ""
	}
	a, err := ParseAttestation(b.GetDsseEnvelope().GetPayload())
	if err != nil {
		return ""
	}
	return a.PredicateType
}
