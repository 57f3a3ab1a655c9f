// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/iupkg/iupkg/internal/testbed"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/toolchain"
)

var repoDir = func() string {
	path, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return path
}()

func extObject(version string) ([]byte, error) { return testbed.CompileExt(repoDir, version) }

// extParts is the object of a version of ext and the manifest that goes with it.
func extParts(version string) ([]byte, *manifest.Manifest, error) {
	return testbed.ExtParts(repoDir, version, "")
}

// mkext DIR VERSION [release=RANGE] [config=EXPR]… [btf=REQ]… [symbol=NAME]… [builder=URI [source=URI]]
// leaves in DIR what iupkg build would for version VERSION of the package ext;
// provenance and SBOM only if a builder is named.
func mkext(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mkext DIR VERSION [release=RANGE] [config=EXPR]…")
	}
	dir, version := ts.MkAbs(args[0]), args[1]
	var builder, source string
	var sum string
	ts.Check(testbed.MakeExt(repoDir, dir, version, "", func(m *manifest.Manifest) {
		sum = strings.TrimPrefix(m.Object.Digest, "sha256:")
		for _, arg := range args[2:] {
			switch k, v, _ := strings.Cut(arg, "="); k {
			case "builder":
				builder = v
			case "source":
				source = v
			case "release":
				m.Requires.Release = v
			case "btf":
				m.Requires.BTF = append(m.Requires.BTF, v)
			case "symbol":
				m.Requires.Symbols = append(m.Requires.Symbols, v)
			case "config":
				m.Requires.Config = append(m.Requires.Config, v)
			default:
				ts.Fatalf("mkext: what is %s?", arg)
			}
		}
	}))
	out := filepath.Join(dir, "target", "iupkg")
	if builder != "" {
		ts.Check(os.WriteFile(filepath.Join(out, "provenance.json"), fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1",
"subject":[{"name":"ext.o","digest":{"sha256":%q}}],"predicateType":%q,"predicate":{"buildDefinition":{"buildType":%q,
"externalParameters":{"source":{"uri":%q,"digest":{"gitCommit":"c0ffee"}}},"resolvedDependencies":[{"uri":"pkg:cargo/zerocopy@0.8.63"}]},
"runDetails":{"builder":{"id":%q}}}}`, sum, toolchain.ProvenanceType, toolchain.BuildType, source, builder), 0o644))
		ts.Check(os.WriteFile(filepath.Join(out, "sbom.json"), fmt.Appendf(nil, `{"spdxVersion":"SPDX-2.3","packages":[
{"name":"ext","versionInfo":%q,"licenseDeclared":"Apache-2.0","checksums":[{"algorithm":"SHA256","checksumValue":%q}]}]}`, version, sum), 0o644))
	}
}
