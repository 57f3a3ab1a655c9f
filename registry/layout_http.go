// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layoutHost is the host under which a client knows a layout.
const layoutHost = "oci-layout"

// RoundTrip answers a request of the distribution API
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md) from the
// layout, so that what comes from a file passes through every check that what comes
// from a registry does.
func (l *layout) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	a := &reply{req: req, header: http.Header{}}
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	for _, route := range []struct {
		part string
		do   func(a *reply, repository, reference string) error
	}{{"/manifests/", l.manifests}, {"/blobs/", l.blob}, {"/referrers/", l.referrersOf}, {"/tags/", l.tagList}} {
		if i := strings.LastIndex(path, route.part); i > 0 {
			if err := route.do(a, path[:i], path[i+len(route.part):]); err != nil {
				a.fail(err)
			}
			return a.response(), nil
		}
	}
	a.fail(fs.ErrNotExist)
	return a.response(), nil
}

// reply is an answer in the making.
type reply struct {
	req    *http.Request
	status int
	header http.Header
	body   io.ReadCloser
	size   int64
}

func (a *reply) send(status int, mediaType string, data []byte) {
	a.status, a.body, a.size = status, io.NopCloser(bytes.NewReader(data)), int64(len(data))
	a.header.Set("Content-Type", mediaType)
}

func (a *reply) sendJSON(mediaType string, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		a.send(http.StatusOK, mediaType, data)
	}
	return err
}

func (a *reply) fail(err error) {
	status, code := http.StatusBadRequest, "UNSUPPORTED"
	if errors.Is(err, fs.ErrNotExist) {
		status, code = http.StatusNotFound, "NOT_FOUND"
	}
	data, _ := json.Marshal(map[string]any{"errors": []any{map[string]string{"code": code, "message": err.Error()}}})
	a.send(status, "application/json", data)
}

func (a *reply) response() *http.Response {
	if a.body == nil {
		a.body = http.NoBody
	}
	if a.req.Method == http.MethodHead {
		a.body.Close()
		a.body = http.NoBody
	}
	a.header.Set("Content-Length", strconv.FormatInt(a.size, 10))
	return &http.Response{
		StatusCode: a.status, Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: a.body, ContentLength: a.size, Request: a.req,
	}
}

func (l *layout) manifests(a *reply, repository, reference string) error {
	isDigest := checkDigest(reference) == nil
	if a.req.Method == http.MethodPut {
		raw, err := io.ReadAll(io.LimitReader(a.req.Body, MaxManifest+1))
		if err != nil {
			return err
		}
		tag := reference
		if isDigest {
			if tag = ""; digestOf(raw) != reference {
				return errors.New("the manifest is not of that digest")
			}
		}
		if err := l.putManifest(repository, tag, a.req.Header.Get("Content-Type"), raw); err != nil {
			return err
		}
		if s := subjectOf(raw); s != "" {
			a.header.Set("OCI-Subject", s)
		}
		a.status = http.StatusCreated
		a.header.Set("Docker-Content-Digest", digestOf(raw))
		return nil
	}
	if !isDigest {
		if reference = l.resolve(repository, reference); reference == "" {
			return fs.ErrNotExist
		}
	}
	raw, err := l.read(reference, MaxManifest)
	if err != nil {
		return err
	}
	var m struct {
		MediaType string `json:"mediaType"`
	}
	_ = json.Unmarshal(raw, &m) // whoever asked will see that it is none
	a.header.Set("Docker-Content-Digest", reference)
	a.send(http.StatusOK, m.MediaType, raw)
	return nil
}

func (l *layout) blob(a *reply, repository, reference string) error {
	switch {
	case a.req.Method == http.MethodPost:
		a.status = http.StatusAccepted
		a.header.Set("Location", (&url.URL{Path: "/v2/" + repository + "/blobs/uploads/one"}).String())
		return nil
	case a.req.Method == http.MethodPut:
		if err := l.putBlob(a.req.URL.Query().Get("digest"), a.req.Body); err != nil {
			return err
		}
		a.status = http.StatusCreated
		return nil
	}
	if err := checkDigest(reference); err != nil {
		return err
	}
	rc, size, err := l.open(reference)
	if err != nil {
		return err
	}
	a.status, a.body, a.size = http.StatusOK, rc, size
	a.header.Set("Content-Type", "application/octet-stream")
	a.header.Set("Docker-Content-Digest", reference)
	return nil
}

func (l *layout) referrersOf(a *reply, repository, reference string) error {
	return a.sendJSON(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: l.referrers(repository, reference),
	})
}

func (l *layout) tagList(a *reply, repository, _ string) error {
	return a.sendJSON("application/json", map[string]any{"name": repository, "tags": l.tags(repository)})
}
