// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// withReferrers puts the referrers API
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers)
// before distribution, which has none. The lists are kept in distribution itself, where
// the referrers tag schema has them: so they are in whatever storage it uses, what was
// attached before there was an API is in them, and a client that knows the schema only
// finds the same. Each request is made in the name of whoever made the one that is answered.
type withReferrers struct {
	next http.Handler
	mu   sync.Mutex // held while a list is read, changed and written
}

// maxServedManifest is what distribution takes of a manifest, in bytes.
const maxServedManifest = 4 << 20

var (
	referrersPath = regexp.MustCompile(`^/v2/(.+)/referrers/([^/]+)$`)
	manifestsPath = regexp.MustCompile(`^/v2/(.+)/manifests/([^/]+)$`)
)

func (s *withReferrers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m := referrersPath.FindStringSubmatch(r.URL.Path); m != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		s.list(w, r, m[1], m[2])
		return
	}
	if m := manifestsPath.FindStringSubmatch(r.URL.Path); m != nil {
		switch r.Method {
		case http.MethodPut:
			s.put(w, r, m[1])
			return
		case http.MethodDelete:
			s.delete(w, r, m[1], m[2])
			return
		}
	}
	s.next.ServeHTTP(w, r)
}

// answered is an answer of distribution that is not sent yet.
type answered struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answered) Header() http.Header { return a.header }

func (a *answered) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answered) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

func (a *answered) send(w http.ResponseWriter) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}

// ask makes a request of distribution, as whoever made r.
func (s *withReferrers) ask(r *http.Request, method, path, mediaType string, body []byte) *answered {
	q := r.Clone(r.Context())
	q.Method, q.URL, q.RequestURI = method, &url.URL{Path: path}, path
	q.Header = http.Header{}
	for _, k := range []string{"Authorization", "User-Agent"} {
		if v := r.Header.Values(k); len(v) > 0 {
			q.Header[k] = v
		}
	}
	q.Header.Set("Accept", ocispec.MediaTypeImageIndex+", "+ocispec.MediaTypeImageManifest)
	if mediaType != "" {
		q.Header.Set("Content-Type", mediaType)
	}
	q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	a := &answered{header: http.Header{}}
	s.next.ServeHTTP(a, q)
	return a
}

// tagOf is where the tag schema has the referrers of a manifest.
func tagOf(subject digest.Digest) string {
	alg, enc, _ := strings.Cut(subject.String(), ":")
	return alg[:min(len(alg), 32)] + "-" + enc[:min(len(enc), 64)]
}

// read is the list of referrers, empty if there is none; what is no list is none.
// refused is distribution's answer if it is another than that.
func (s *withReferrers) read(r *http.Request, repository string, subject digest.Digest) (list []ocispec.Descriptor, refused *answered) {
	a := s.ask(r, http.MethodGet, "/v2/"+repository+"/manifests/"+tagOf(subject), "", nil)
	switch {
	case a.status == http.StatusNotFound:
		return nil, nil
	case a.status != http.StatusOK:
		return nil, a
	}
	var x ocispec.Index
	if json.Unmarshal(a.body.Bytes(), &x) != nil || x.MediaType != ocispec.MediaTypeImageIndex {
		return nil, nil
	}
	return x.Manifests, nil
}

// write replaces the list of referrers.
func (s *withReferrers) write(r *http.Request, repository string, subject digest.Digest, list []ocispec.Descriptor) *answered {
	raw, err := json.Marshal(indexOf(list))
	if err != nil {
		return failed(err)
	}
	if a := s.ask(r, http.MethodPut, "/v2/"+repository+"/manifests/"+tagOf(subject), ocispec.MediaTypeImageIndex, raw); a.status != http.StatusCreated {
		return a
	}
	return nil
}

func indexOf(list []ocispec.Descriptor) ocispec.Index {
	if list == nil {
		list = []ocispec.Descriptor{}
	}
	return ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: list}
}

func (s *withReferrers) list(w http.ResponseWriter, r *http.Request, repository, subject string) {
	d, err := digest.Parse(subject)
	if err != nil {
		refusal(http.StatusBadRequest, "DIGEST_INVALID", err).send(w)
		return
	}
	list, refused := s.read(r, repository, d)
	if refused != nil {
		refused.send(w)
		return
	}
	if kind := r.URL.Query().Get("artifactType"); kind != "" {
		list = slices.DeleteFunc(list, func(d ocispec.Descriptor) bool { return d.ArtifactType != kind })
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	raw, err := json.Marshal(indexOf(list))
	if err != nil {
		failed(err).send(w)
		return
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(raw)
	}
}

// referring is what the list of referrers needs of a manifest or an index.
type referring struct {
	MediaType    string              `json:"mediaType"`
	ArtifactType string              `json:"artifactType"`
	Config       *ocispec.Descriptor `json:"config"`
	Subject      *ocispec.Descriptor `json:"subject"`
	Annotations  map[string]string   `json:"annotations"`
}

// referrerOf reads a manifest that has a subject, and makes what is listed of it.
func referrerOf(raw []byte, mediaType string) (subject digest.Digest, d ocispec.Descriptor, ok bool) {
	var m referring
	if json.Unmarshal(raw, &m) != nil || m.Subject == nil || m.Subject.Digest.Validate() != nil {
		return "", d, false
	}
	d = describe(mediaType, raw)
	if m.MediaType != "" {
		d.MediaType = m.MediaType
	}
	d.ArtifactType, d.Annotations = m.ArtifactType, m.Annotations
	if d.ArtifactType == "" && m.Config != nil {
		d.ArtifactType = m.Config.MediaType
	}
	return m.Subject.Digest, d, true
}

// put lists a manifest among the referrers of its subject, once distribution has it and
// before the client is told.
func (s *withReferrers) put(w http.ResponseWriter, r *http.Request, repository string) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxServedManifest+1))
	if err != nil {
		refusal(http.StatusBadRequest, "MANIFEST_INVALID", err).send(w)
		return
	}
	subject, desc, ok := referrerOf(raw, r.Header.Get("Content-Type"))
	r.Body = io.NopCloser(bytes.NewReader(raw))
	if !ok || len(raw) > maxServedManifest {
		s.next.ServeHTTP(w, r)
		return
	}
	a := &answered{header: http.Header{}}
	s.next.ServeHTTP(a, r)
	if a.status == http.StatusCreated {
		// Whatever algorithm the client prefers, that is what distribution calls it.
		if d, err := digest.Parse(a.header.Get("Docker-Content-Digest")); err == nil {
			desc.Digest = d
		}
		if refused := s.change(r, repository, subject, func(list []ocispec.Descriptor) []ocispec.Descriptor {
			if slices.ContainsFunc(list, func(o ocispec.Descriptor) bool { return o.Digest == desc.Digest }) {
				return list
			}
			return append(list, desc)
		}); refused != nil {
			refused.send(w)
			return
		}
		a.header.Set("OCI-Subject", subject.String())
	}
	a.send(w)
}

// change edits a list of referrers.
func (s *withReferrers) change(r *http.Request, repository string, subject digest.Digest, edit func([]ocispec.Descriptor) []ocispec.Descriptor) *answered {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, refused := s.read(r, repository, subject)
	if refused != nil {
		return refused
	}
	n := len(list)
	if list = edit(list); len(list) == n {
		return nil
	}
	return s.write(r, repository, subject, list)
}

// delete takes a manifest from the list of referrers that it is in, once it is gone.
func (s *withReferrers) delete(w http.ResponseWriter, r *http.Request, repository, reference string) {
	d, err := digest.Parse(reference)
	if err != nil { // a tag: the manifest stays
		s.next.ServeHTTP(w, r)
		return
	}
	old := s.ask(r, http.MethodGet, "/v2/"+repository+"/manifests/"+reference, "", nil)
	a := &answered{header: http.Header{}}
	s.next.ServeHTTP(a, r)
	if subject, _, ok := referrerOf(old.body.Bytes(), ""); ok && old.status == http.StatusOK && a.status == http.StatusAccepted {
		if refused := s.change(r, repository, subject, func(list []ocispec.Descriptor) []ocispec.Descriptor {
			return slices.DeleteFunc(list, func(o ocispec.Descriptor) bool { return o.Digest == d })
		}); refused != nil {
			refused.send(w)
			return
		}
	}
	a.send(w)
}

// refusal is an error as the API has them.
func refusal(status int, code string, err error) *answered {
	a := &answered{status: status, header: http.Header{"Content-Type": {"application/json"}}}
	_ = json.NewEncoder(&a.body).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": err.Error()}}})
	return a
}

func failed(err error) *answered {
	return refusal(http.StatusInternalServerError, "UNKNOWN", errors.Join(fmt.Errorf("list of referrers"), err))
}
