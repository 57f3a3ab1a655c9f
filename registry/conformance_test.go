// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/internal/others"
)

// TestConformance runs the tests of the distribution specification against the embedded
// registry. Two kinds of data are left out that distribution does not take: SHA-512, which
// registries may do without, and layers that are kept elsewhere, which are deprecated.
func TestConformance(t *testing.T) {
	path := others.Find(t, "conformance", "GOBIN=~/.cache/iupkg/tools go install github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111")
	addr, _, _ := strings.Cut(served(t, ServeOptions{Delete: true}), "/")
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "OCI_REGISTRY="+addr, "OCI_TLS=disabled", "OCI_VERSION=1.1", "OCI_RESULTS_DIR="+dir,
		"OCI_REPO1=conformance/one", "OCI_REPO2=conformance/two",
		"OCI_DATA_SHA512=false", "OCI_DATA_NONDISTRIBUTABLE=false")
	out, runErr := cmd.CombinedOutput()
	raw, err := os.ReadFile(filepath.Join(dir, "junit.xml"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var report struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	if err := xml.Unmarshal(raw, &report); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", report)
	if runErr != nil || report.Failures+report.Errors > 0 || report.Tests < 100 {
		t.Errorf("%v\n%s", runErr, out)
	}
}
