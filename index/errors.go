// SPDX-License-Identifier: Apache-2.0

package index

import (
	"errors"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Untrusted is the refusal of something that is not what the index's keys have
// signed last: an attack, or an index that is no longer looked after.
type Untrusted struct {
	File   string // "timestamp.json", "packages/bmc.json", …
	Reason Reason
	Err    error
}

// Reason is the class of a refusal.
type Reason string

// The reasons for a refusal.
const (
	BadSignature Reason = "not signed by the keys of the index"
	Rollback     Reason = "older than what was seen before"
	Expired      Reason = "expired"
	Mismatch     Reason = "not the file that was signed"
	Malformed    Reason = "malformed"
	// OutsideNames: a publisher speaks of a name that the index's owner has not given
	// to him.
	OutsideNames Reason = "outside the names that were delegated"
	// Damaged: of the local copy, which is to be made anew.
	Damaged Reason = "the local copy is damaged"
)

var errDamaged = errors.New("it has not what was written")

func (e *Untrusted) Error() string {
	return fmt.Sprintf("index file %s is not trusted: %s: %v", e.File, e.Reason, e.Err)
}

func (e *Untrusted) Unwrap() error { return e.Err }

// RemoteError is a failure to read or write the remote index. If there is no index
// at all it is fs.ErrNotExist.
type RemoteError struct {
	Op  string // "read timestamp.json", "find the index", …
	Err error
}

func (e *RemoteError) Error() string { return "index: " + e.Op + ": " + e.Err.Error() }
func (e *RemoteError) Unwrap() error { return e.Err }

// UnknownPackage says that the index has no package of that name.
type UnknownPackage struct {
	Name string
}

func (e *UnknownPackage) Error() string { return fmt.Sprintf("package %q is not in the index", e.Name) }

// VersionExists refuses to publish a version again with another content.
type VersionExists struct {
	Name, Version   string
	Digest, Offered string
}

func (e *VersionExists) Error() string {
	return fmt.Sprintf("%s %s is published already as %s; a version never changes, so %s needs a new one", e.Name, e.Version, e.Digest, e.Offered)
}

// ErrNotSynced is returned by Open if there is no local copy.
var ErrNotSynced = errors.New("the index has not been synchronised on this machine")

// refuse says why go-tuf did not accept a file.
func refuse(file string, err error) error {
	e := &Untrusted{File: file, Reason: Malformed, Err: err}
	switch {
	case errors.Is(err, errDamaged):
		e.Reason = Damaged
	case is[*metadata.ErrUnsignedMetadata](err):
		e.Reason = BadSignature
	case is[*metadata.ErrBadVersionNumber](err), is[*metadata.ErrEqualVersionNumber](err):
		e.Reason = Rollback
	case is[*metadata.ErrExpiredMetadata](err):
		e.Reason = Expired
	case is[*metadata.ErrLengthOrHashMismatch](err):
		e.Reason = Mismatch
	}
	return e
}

func is[T error](err error) bool {
	var t T
	return errors.As(err, &t)
}
