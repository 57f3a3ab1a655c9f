// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits, in bytes unless said otherwise. Those of names in an object are
// IU_ABI_*_LEN of iu_abi.h, less the NUL.
const (
	MaxManifest    = 256 << 10
	MaxProject     = 256 << 10
	MaxProfile     = 64 << 20
	MaxLock        = 4 << 20
	MaxBTF         = 64 << 20 // of vmlinux, inflated
	MaxObject      = 4 << 20
	MaxName        = 63
	MaxVersion     = 63
	MaxIdent       = 31
	MaxConstraint  = 256
	MaxText        = 1024
	MaxConfigExpr  = 512
	MaxBTFReq      = 256
	MaxAttachValue = 128
	MaxSymbol      = 255

	// Counts.
	MaxDependencies = 256 // and as many conflicts
	MaxConfigExprs  = 64
	MaxBTFReqs      = 1024 // and as many symbols
	MaxParams       = 128
	MaxObjectParams = 64
	MaxPrograms     = 32
	MaxMaps         = 64
	MaxKeys         = 16 // of one package in a lock file
	MaxProvides     = 64
	MaxFeatures     = 64
)

// CheckName says what is wrong with the name of a package. A name is
// [a-z][a-z0-9-]{0,62}.
func CheckName(s string) error {
	switch {
	case s == "":
		return errors.New("a package name is empty")
	case len(s) > MaxName:
		return fmt.Errorf("package name %.20q… has %d bytes, at most %d are allowed", s, len(s), MaxName)
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z':
		case i > 0 && (c >= '0' && c <= '9' || c == '-'):
		default:
			return fmt.Errorf("%q is not a package name: a name starts with a-z and goes on with a-z, 0-9 and -", s)
		}
	}
	return nil
}

// CheckIdent says what is wrong with the name of a program, map or parameter:
// [A-Za-z_][A-Za-z0-9_]{0,30}.
func CheckIdent(s string) error {
	switch {
	case s == "":
		return errors.New("a name is empty")
	case len(s) > MaxIdent:
		return fmt.Errorf("name %.20q… has %d bytes, at most %d are allowed", s, len(s), MaxIdent)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isIdentByte(c) || i == 0 && c >= '0' && c <= '9' {
			return fmt.Errorf("%q is not a name: a name starts with a letter or _ and goes on with letters, digits and _", s)
		}
	}
	return nil
}

func isIdentByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// CheckDigest says what is wrong with a digest: "sha256:" and 64 lower-case hex
// digits, as in the OCI image specification.
func CheckDigest(s string) error {
	const prefix = "sha256:"
	if len(s) != len(prefix)+64 || s[:len(prefix)] != prefix {
		return fmt.Errorf("%.80q is not a digest: sha256: and 64 hex digits", s)
	}
	for _, c := range []byte(s[len(prefix):]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("%q is not a digest: sha256: and 64 hex digits", s)
		}
	}
	return nil
}

// checkText allows what may be shown on a terminal as it is: text without
// control characters, direction overrides and other invisible ones.
func checkText(s string, max int) error {
	if len(s) > max {
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(s), max)
	}
	if !utf8.ValidString(s) {
		return errors.New("is not UTF-8")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("has the unprintable character %U", r)
		}
	}
	return nil
}

// SplitFeature takes "NAME[FEATURE]" apart; feature is empty for NAME alone.
func SplitFeature(s string) (name, feature string, err error) {
	name, rest, ok := strings.Cut(s, "[")
	if ok {
		if feature, ok = strings.CutSuffix(rest, "]"); !ok || CheckName(feature) != nil {
			return "", "", fmt.Errorf("%.140q is not a package with a feature: want NAME[FEATURE]", s)
		}
	}
	return name, feature, CheckName(name)
}

// WithFeature is the reverse of SplitFeature.
func WithFeature(name, feature string) string {
	if feature == "" {
		return name
	}
	return name + "[" + feature + "]"
}
