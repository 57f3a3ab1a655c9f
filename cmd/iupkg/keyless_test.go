// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/iupkg/iupkg/internal/sigstoretest"
)

// fakeSigstore runs sigstore's services: sigstore VAR SUBJECT [nosct] sets VAR to their URL and
// writes VAR.root, their trusted root, and VAR.token, a token for SUBJECT.
func fakeSigstore(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sigstore VAR SUBJECT [nosct]")
	}
	s, err := sigstoretest.New()
	ts.Check(err)
	ts.Defer(s.Close)
	s.NoSCT = len(args) > 2
	root, err := s.TrustedRoot()
	ts.Check(err)
	token, err := s.Token(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".root"), root, 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".token"), []byte(token+"\n"), 0o600))
	ts.Setenv(args[0], s.URL)
}
