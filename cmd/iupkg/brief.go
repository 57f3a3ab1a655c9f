// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/registry"
)

// brief is an error in the words that help the user: what failed, where, and
// why, without the steps in between and with digests as short as tables have
// them. --verbose shows all of it.
func brief(err error) string {
	s := err.Error()
	var untrusted *index.Untrusted
	if errors.As(err, &untrusted) {
		switch untrusted.Reason {
		case index.BadSignature, index.Rollback, index.Expired, index.Mismatch:
			s = strings.Replace(s, untrusted.Error(), fmt.Sprintf("index file %s is not trusted: %s", untrusted.File, untrusted.Reason), 1)
		}
	}
	var reg *registry.Error
	if errors.As(err, &reg) {
		short := *reg
		short.Err = errors.New(briefReason(reg))
		s = strings.Replace(s, reg.Error(), short.Error(), 1)
	}
	s = strings.TrimPrefix(s, "index: ")
	return longDigest.ReplaceAllString(s, "$1")
}

var (
	longDigest = regexp.MustCompile(`(sha256:[0-9a-f]{12})[0-9a-f]{52}\b`)
	// What net/http and oras put before the reason.
	request = regexp.MustCompile(`^[A-Za-z]+ "[^"]*": `)
	dial    = regexp.MustCompile(`^dial (tcp|udp)( \S+)?: (connect: )?`)
)

// briefReason is why a registry failed, without the address, which the error has.
func briefReason(e *registry.Error) string {
	why := e.Err.Error()
	why = request.ReplaceAllString(why, "")
	why = dial.ReplaceAllString(why, "")
	if code, ok := strings.CutPrefix(why, "response status code "); ok {
		why = "the registry answers " + code
	}
	if e.Kind == registry.Malformed || e.Kind == registry.Server {
		if strings.Contains(why, "invalid character '<'") {
			why = "what answers there is a web page, not a registry"
		}
	}
	return why
}

// registryHint is what to do about a registry's failure.
func registryHint(kind registry.Kind) string {
	switch kind {
	case registry.Network, registry.Server:
		return "is the registry up, and reachable from here?"
	case registry.Denied:
		return "log in with docker login or podman login"
	case registry.NotFound:
		return "is that the right registry and prefix? nothing of the kind was published there"
	case registry.Integrity:
		return "the registry, or something between, changed the bytes; nothing of them was used: try again, or another registry"
	case registry.Malformed, registry.TooLarge:
		return "is that a registry, and the prefix one of iupkg packages?"
	}
	return ""
}

// untrustedHint is what to do about an index that is refused.
func untrustedHint(reason index.Reason) string {
	switch reason {
	case index.Rollback:
		return "the registry shows an older state than it did before: a copy that lags behind, or an attack; nothing was changed"
	case index.Expired:
		return "its publisher has not signed it anew in time: any publish does"
	case index.OutsideNames:
		return "the owner of an index says with iupkg index delegate who lists which names"
	case index.Damaged:
		return "iupkg sync --anew makes the copy anew"
	case index.Mismatch, index.Malformed:
		return "the registry, or something between, changed the index; nothing of it was used"
	}
	return "iupkg trust list says whom this machine trusts; trust a publisher with iupkg trust add FILE"
}
