// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

var (
	// ErrNoRuntime: iu.ko is not loaded; `iupkg setup` loads it.
	ErrNoRuntime = errors.New("the runtime iu.ko is not loaded")
	// ErrRefused: the kernel said no; the error is a *RefusedError.
	ErrRefused = errors.New("the kernel refused")
	// ErrNotTrustedByKernel: the signature is not by a key that the runtime has.
	ErrNotTrustedByKernel = errors.New("not signed by a key that the kernel trusts")
	// ErrLoaded: an extension of that name is loaded.
	ErrLoaded = errors.New("already loaded")
	// ErrNotLoaded: no extension of that name is loaded.
	ErrNotLoaded = errors.New("not loaded")
)

// RefusedError is a request that the kernel refused. It is ErrRefused, and
// ErrNotTrustedByKernel if a signature was the reason.
type RefusedError struct {
	Op  string // "load extension", "bind map CACHE"
	Msg string // the runtime's or the kernel log's own words; may be empty
	Err error  // an errno, or the library's error around one
}

func (e *RefusedError) Error() string {
	if e.Msg == "" {
		return fmt.Sprintf("%s: the kernel refused: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s: the kernel refused: %s (%v)", e.Op, e.Msg, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// Is makes errors.Is work with the sentinels.
func (e *RefusedError) Is(target error) bool {
	return target == ErrRefused || target == ErrNotTrustedByKernel && errors.Is(e.Err, unix.EKEYREJECTED)
}

func refused(op, msg string, err error) error {
	if err == nil {
		return nil
	}
	return &RefusedError{op, msg, err}
}
