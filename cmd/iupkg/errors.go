// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/resolve"
	"github.com/iupkg/iupkg/signing"
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

// exitTexts says in the documentation what the codes mean.
var exitTexts = []struct {
	code int
	text string
}{
	{exitOK, "done"},
	{exitFailure, "another failure"},
	{exitUsage, "wrong usage"},
	{exitNoVersion, "no version satisfies; it is explained which was refused for what"},
	{exitTrust, "not trusted: a signature, a digest, or the index does not hold"},
	{exitNetwork, "the registry or the network failed"},
	{exitKernel, "the kernel refused"},
	{exitBusy, "another transaction holds the store"},
}

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
	var advice interface{ Hint() string }
	if errors.As(err, &advice) {
		hint = advice.Hint()
	}
	var h hintedError
	if errors.As(err, &h) {
		hint = h.hint
	}
	return code, hint
}

func classify(err error) (code int, hint string) {
	var canary *canaryFailed
	if errors.As(err, &canary) {
		return canary.code, "nothing was changed here"
	}
	switch {
	case isA[usageError](err), isA[*install.BadParams](err), isA[*kernel.ParamError](err), isA[*registry.RefError](err):
		return exitUsage, ""
	case isA[*install.Damaged](err):
		return exitFailure, "bring the file back from a backup; or let current, in the same root, point to an older file of generations, and run iupkg restore"
	case errors.Is(err, install.ErrBusy):
		return exitBusy, "wait until it is done, then try again"
	case unknownNames(err):
		return exitNoVersion, "iupkg search finds names, iupkg sync brings new ones"
	case isA[*resolve.Unsatisfiable](err), isA[*install.Unfit](err), isA[noSuchVersion](err), isA[*wouldNotLoad](err):
		return exitNoVersion, ""
	case isA[*lockDrift](err):
		const hint = "if this is meant, write the lock file anew with iupkg lock"
		var drift *lockDrift
		if errors.As(err, &drift); drift.untrusted {
			return exitTrust, hint
		}
		return exitNoVersion, hint
	case isA[*index.UnknownPackage](err), errors.Is(err, manifest.ErrUnknownPackage):
		return exitNoVersion, "iupkg search finds names, iupkg sync brings new ones"
	case errors.Is(err, errIndexDistrusted):
		return exitTrust, "iupkg sync makes one of a publisher who is trusted; iupkg trust list says who that is"
	case errors.Is(err, errNoIndexRoot):
		return exitTrust, "trust a publisher with iupkg trust add FILE"
	case isA[*index.Untrusted](err):
		var untrusted *index.Untrusted
		errors.As(err, &untrusted)
		return exitTrust, untrustedHint(untrusted.Reason)
	case isA[*signing.Untrusted](err), isA[*signing.SignatureError](err), isA[*install.Mismatch](err):
		return exitTrust, "iupkg trust list says whom this machine trusts; trust a publisher with iupkg trust add FILE"
	case isA[*install.CorruptBlob](err):
		return exitTrust, "what was moved away is fetched again when a registry is at hand"
	case errors.Is(err, index.ErrNotSynced):
		return exitNetwork, "run iupkg sync with --registry"
	case isA[*index.VersionExists](err), registry.KindOf(err) == registry.Conflict:
		return exitFailure, "a version never changes once it is published: raise it in iupkg.toml"
	case errors.Is(err, install.ErrNotStored):
		return exitNetwork, "leave out --offline, or give --registry"
	case errors.Is(err, kernel.ErrNoRuntime):
		return exitKernel, "run iupkg setup as root"
	case errors.Is(err, kernel.ErrNotTrustedByKernel):
		return exitTrust, "iupkg setup gives the kernel the certificates of this machine's policy"
	case errors.Is(err, kernel.ErrRefused), errors.Is(err, kernel.ErrLoaded), isA[noRuntimeError](err):
		return exitKernel, "iupkg doctor says what this machine lacks; dmesg may say more"
	}
	if kind := registry.KindOf(err); kind != 0 {
		return exitNetwork, registryHint(kind)
	}
	if isA[*index.RemoteError](err) {
		return exitNetwork, ""
	}
	var drift *driftError
	if errors.As(err, &drift) && !drift.trusted {
		return exitTrust, ""
	}
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return exitFailure, "run it as root"
	}
	return exitFailure, ""
}

// unknownNames: was something asked for that the index does not have?
func unknownNames(err error) bool {
	var u *resolve.Unsatisfiable
	return errors.As(err, &u) && len(u.Unknown) > 0
}

func isA[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}
