// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Kind is the class of an error.
type Kind int

// The kinds of errors.
const (
	// Network: no connection, or it broke, timed out or ended too soon.
	Network Kind = iota + 1
	// NotFound: the registry answers that it has no such thing. It is fs.ErrNotExist.
	NotFound
	// Denied: the registry wants credentials, or others.
	Denied
	// Server: any other answer but success, or one that makes no sense.
	Server
	// Conflict: something else is there already, or came first. It is fs.ErrExist.
	Conflict
	// Integrity: bytes are not those that the digest names.
	Integrity
	// Malformed: the bytes are those asked for, and are not an artifact of ours.
	Malformed
	// TooLarge: more bytes than the limit or the descriptor says.
	TooLarge
)

var kindNames = [...]string{"", "network", "not found", "denied", "server", "conflict", "integrity", "malformed", "too large"}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return kindNames[k]
}

// Error is a failure to talk to a registry, or a refusal of what it sent.
type Error struct {
	Op     string // "fetch object", "push manifest", …
	Ref    string // repository, with tag or digest where there is one
	Digest string // what was being moved, or ""
	Kind   Kind
	Err    error
}

func (e *Error) Error() string {
	what := e.Ref
	if e.Digest != "" {
		what += " (" + e.Digest + ")"
	}
	return fmt.Sprintf("%s %s: %v", e.Op, what, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes NotFound and Conflict known by the standard library's errors, for
// callers that know of no registry.
func (e *Error) Is(target error) bool {
	return target == fs.ErrNotExist && e.Kind == NotFound || target == fs.ErrExist && e.Kind == Conflict
}

// Temporary says that trying again later may help.
func (e *Error) Temporary() bool { return e.Kind == Network || e.Kind == Server }

// KindOf is the kind of the first *Error in err's tree, or 0.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}

// fail says what went wrong with an operation, by the errors of oras and net/http.
// An *Error passes as it is.
func fail(op, ref, digest string, err error) error {
	if err == nil {
		return nil
	}
	var done *Error
	if errors.As(err, &done) {
		return err
	}
	e := &Error{Op: op, Ref: ref, Digest: digest, Kind: Server, Err: err}
	var answer *errcode.ErrorResponse
	var broken net.Error // *url.Error, what net/http returns, is one
	switch {
	case errors.Is(err, context.Canceled):
		return err // the caller's own doing
	case errors.Is(err, errdef.ErrNotFound):
		e.Kind, e.Err = NotFound, errors.New("not found")
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		e.Kind = Denied
	case errors.Is(err, errdef.ErrSizeExceedsLimit):
		e.Kind = TooLarge
	case errors.As(err, &answer):
		switch answer.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			e.Kind = Denied
		case http.StatusNotFound:
			e.Kind = NotFound
		default:
			e.Kind = Server
		}
	case errors.As(err, &broken), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Kind = Network
	}
	return e
}

func failf(kind Kind, op, ref, digest, format string, args ...any) error {
	return &Error{Op: op, Ref: ref, Digest: digest, Kind: kind, Err: fmt.Errorf(format, args...)}
}
