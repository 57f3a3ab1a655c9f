// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/iupkg/iupkg/install"
)

// Exit codes; docs and scripts rely on them.
const (
	exitOK        = 0
	exitFailure   = 1
	exitUsage     = 2
	exitNoVersion = 3 // no version satisfies, explained
	exitTrust     = 4
	exitNetwork   = 5 // registry or network
	exitKernel    = 6 // the kernel refused
	exitBusy      = 7
)

// usageError is a command that makes no sense as it was given.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// hintedError is an error with what to do about it.
type hintedError struct {
	error
	hint string
}

func (e hintedError) Unwrap() error { return e.error }

func withHint(err error, format string, args ...any) error {
	return hintedError{err, fmt.Sprintf(format, args...)}
}

// explain is the one place where errors get their exit code and, unless whoever
// returned it knew better, their hint.
func explain(err error) (code int, hint string) {
	code, hint = classify(err)
	var h hintedError
	if errors.As(err, &h) {
		hint = h.hint
	}
	return code, hint
}

func classify(err error) (code int, hint string) {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage, ""
	case errors.Is(err, install.ErrBusy):
		return exitBusy, "wait until it is done, then try again"
	}
	return exitFailure, ""
}
