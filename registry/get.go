// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/iupkg/iupkg/manifest"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// fetchManifest reads the manifest of a tag or digest, of any media type. It is one
// request, and makes nothing of the headers of the answer: oras' own would ask
// again where there is no length, and take a false digest header for our mistake.
func fetchManifest(ctx context.Context, r *remote.Repository, reference string) ([]byte, error) {
	const op = "fetch manifest"
	ref, want := r.Reference.String()+":"+reference, ""
	if manifest.CheckDigest(reference) == nil {
		ref, want = r.Reference.String()+"@"+reference, reference
	}
	target := r.Reference
	target.Reference = reference
	if err := target.ValidateReference(); err != nil {
		return nil, failf(Malformed, op, ref, "", "not a tag or digest: %w", err)
	}
	data, err := readURL(ctx, r, op, ref, "manifests/"+reference, MaxManifest, r.ManifestMediaTypes)
	if err != nil {
		return nil, err
	}
	if found := digestOf(data); want != "" && found != want {
		return nil, failf(Integrity, op, ref, "", "the registry sent bytes of digest %s", found)
	}
	return data, nil
}

// readURL reads what is at a path of a repository, at most limit bytes.
func readURL(ctx context.Context, r *remote.Repository, op, ref, path string, limit int64, accept []string) (data []byte, err error) {
	scheme := "https"
	if r.PlainHTTP {
		scheme = "http"
	}
	url := fmt.Sprintf("%s://%s/v2/%s/%s", scheme, r.Reference.Host(), r.Reference.Repository, path)
	err = again(ctx, func() error {
		ctx, cancel := context.WithTimeout(auth.AppendRepositoryScope(ctx, r.Reference, auth.ActionPull), transferTime(limit))
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if len(accept) > 0 {
			req.Header.Set("Accept", strings.Join(accept, ", "))
		}
		resp, err := r.Client.Do(req)
		if err != nil {
			return fail(op, ref, "", err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fail(op, ref, "", answer(resp))
		}
		if resp.ContentLength > limit {
			return failf(TooLarge, op, ref, "", "%d bytes, more than %d", resp.ContentLength, limit)
		}
		data, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
		if err != nil {
			return fail(op, ref, "", err)
		}
		if int64(len(data)) > limit {
			return failf(TooLarge, op, ref, "", "more than %d bytes", limit)
		}
		return nil
	})
	return data, err
}

// answer is what a registry says in the place of what was asked for, see
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes.
func answer(resp *http.Response) error {
	e := &errcode.ErrorResponse{Method: resp.Request.Method, URL: resp.Request.URL, StatusCode: resp.StatusCode}
	var body struct {
		Errors errcode.Errors `json:"errors"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 8<<10)).Decode(&body); err == nil {
		e.Errors = body.Errors
	}
	return e
}
