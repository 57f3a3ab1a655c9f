// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// api makes a request of a registry.
func api(t *testing.T, c *Client, method, path, mediaType string, body []byte) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.host+"/v2/test/packages/bmc/"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, data
}

// listed is what the referrers API lists.
func listed(t *testing.T, c *Client, subject, query string) ([]ocispec.Descriptor, *http.Response) {
	t.Helper()
	resp, data := api(t, c, http.MethodGet, "referrers/"+subject+query, "", nil)
	var x ocispec.Index
	if err := json.Unmarshal(data, &x); err != nil || resp.StatusCode != http.StatusOK ||
		x.MediaType != ocispec.MediaTypeImageIndex || resp.Header.Get("Content-Type") != ocispec.MediaTypeImageIndex || x.Manifests == nil {
		t.Fatalf("%s: %v\n%s", resp.Status, err, data)
	}
	return x.Manifests, resp
}

func TestReferrersAPI(t *testing.T) {
	c, _ := testRegistry(t)
	p := testPackage(t, "bmc", "1.0.0")
	d := push(t, c, p)
	if list, _ := listed(t, c, d, ""); len(list) != 0 {
		t.Errorf("before any: %v", list)
	}
	if list, _ := listed(t, c, "sha256:"+strings.Repeat("0", 64), ""); len(list) != 0 {
		t.Errorf("of what is not there: %v", list)
	}
	if resp, _ := api(t, c, http.MethodGet, "referrers/latest", "", nil); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("of no digest: %s", resp.Status)
	}
	target, _, err := Pack(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{"{}", "of many"} {
		if resp, said := api(t, c, http.MethodPost, "blobs/uploads/?digest="+digestOf([]byte(payload)), "application/octet-stream", []byte(payload)); resp.StatusCode != http.StatusCreated {
			// distribution takes no blob in one request
			u := resp.Header.Get("Location")
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+c.host+u+"&digest="+digestOf([]byte(payload)), strings.NewReader(payload))
			if err != nil {
				t.Fatal(err)
			}
			if put, err := http.DefaultClient.Do(req); err != nil || put.StatusCode != http.StatusCreated {
				t.Fatalf("%v %v %s", put, err, said)
			}
		}
	}
	// Many at once: none is lost, which the tag schema alone cannot promise.
	var manifests [][]byte
	for i := range 24 {
		raw, err := packReferrer(target, &Attachment{MediaType: "text/x", ArtifactType: fmt.Sprintf("text/kind-%d", i%3), Payload: []byte("of many"),
			Annotations: map[string]string{"number": fmt.Sprint(i)}})
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, raw)
	}
	var wg sync.WaitGroup
	for _, raw := range manifests {
		wg.Go(func() {
			resp, said := api(t, c, http.MethodPut, "manifests/"+digestOf(raw), ocispec.MediaTypeImageManifest, raw)
			if resp.StatusCode != http.StatusCreated || resp.Header.Get("OCI-Subject") != d {
				t.Errorf("%s, subject %q: %s", resp.Status, resp.Header.Get("OCI-Subject"), said)
			}
		})
	}
	wg.Wait()
	list, _ := listed(t, c, d, "")
	if len(list) != len(manifests) {
		t.Errorf("%d listed of %d", len(list), len(manifests))
	}
	some, resp := listed(t, c, d, "?artifactType=text/kind-1")
	if len(some) != 8 || resp.Header.Get("OCI-Filters-Applied") != "artifactType" || some[0].Annotations["number"] == "" {
		t.Errorf("%d of one type, filters %q", len(some), resp.Header.Get("OCI-Filters-Applied"))
	}
	// The same where the tag schema has it.
	if resp, data := api(t, c, http.MethodGet, "manifests/"+strings.Replace(d, ":", "-", 1), "", nil); resp.StatusCode != http.StatusOK || bytes.Count(data, []byte(`"number"`)) != 24 {
		t.Errorf("%s: %s", resp.Status, data)
	}
	// The same again is not listed twice; what is deleted is not listed.
	api(t, c, http.MethodPut, "manifests/"+digestOf(manifests[0]), ocispec.MediaTypeImageManifest, manifests[0])
	if resp, said := api(t, c, http.MethodDelete, "manifests/"+digestOf(manifests[1]), "", nil); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("%s: %s", resp.Status, said)
	}
	if list, _ := listed(t, c, d, ""); len(list) != 23 {
		t.Errorf("%d listed, want 23", len(list))
	}
}

// TestReferrersNeedAnAccount asks for a list as nobody.
func TestReferrersNeedAnAccount(t *testing.T) {
	ref := served(t, ServeOptions{Htpasswd: htpasswd(t, "alice", "secret")})
	resp, err := http.Get("http://" + strings.TrimSuffix(ref, "/test") + "/v2/test/packages/bmc/referrers/sha256:" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s", resp.Status)
	}
}
