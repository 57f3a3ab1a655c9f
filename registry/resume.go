// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// resumes is how often a transfer that broke is taken up again where it ended.
const resumes = 3

// resumer reads a blob over as many requests as it takes.
type resumer struct {
	ctx  context.Context
	r    *remote.Repository
	desc ocispec.Descriptor
	body io.ReadCloser // nil: to be asked for
	n    int64         // bytes read so far
	left int           // requests
}

func openBlob(ctx context.Context, r *remote.Repository, desc ocispec.Descriptor) (*resumer, error) {
	b := &resumer{ctx: ctx, r: r, desc: desc, left: resumes}
	var err error
	b.body, err = b.request()
	return b, err
}

// request asks for the rest of the blob.
func (b *resumer) request() (io.ReadCloser, error) {
	scheme := "https"
	if b.r.PlainHTTP {
		scheme = "http"
	}
	url := fmt.Sprintf("%s://%s/v2/%s/blobs/%s", scheme, b.r.Reference.Host(), b.r.Reference.Repository, b.desc.Digest)
	ctx := auth.AppendRepositoryScope(b.ctx, b.r.Reference, auth.ActionPull)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if b.n > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", b.n))
	}
	resp, err := b.r.Client.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := b.check(resp)
	if err != nil {
		resp.Body.Close()
	}
	return body, err
}

// check sees that an answer goes on where the last one ended.
func (b *resumer) check(resp *http.Response) (io.ReadCloser, error) {
	want := b.desc.Size
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusPartialContent:
		if b.n == 0 || !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", b.n)) {
			return nil, fmt.Errorf("the registry answers with the range %.60q, not from byte %d", resp.Header.Get("Content-Range"), b.n)
		}
		want -= b.n
	default:
		return nil, answer(resp)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != want {
		return nil, fmt.Errorf("the registry announces %d bytes, there should be %d", resp.ContentLength, want)
	}
	if resp.StatusCode == http.StatusOK && b.n > 0 { // it knows no ranges
		if _, err := io.CopyN(io.Discard, resp.Body, b.n); err != nil {
			return nil, err
		}
	}
	return resp.Body, nil
}

// broke is true of a connection that ended in the middle.
func broke(err error) bool {
	var n net.Error
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.As(err, &n) && n.Timeout()
}

func (b *resumer) Read(p []byte) (int, error) {
	for {
		n, err := b.body.Read(p)
		b.n += int64(n)
		if err == io.EOF && b.n < b.desc.Size {
			err = io.ErrUnexpectedEOF // announced or not, there is more
		}
		if err == nil || err == io.EOF || !broke(err) || b.left == 0 || b.ctx.Err() != nil {
			return n, err
		}
		b.left--
		b.body.Close()
		next, e := b.request()
		if e != nil {
			b.body = io.NopCloser(strings.NewReader(""))
			b.left = 0
			return n, fmt.Errorf("%w; taking it up again: %w", err, e)
		}
		if b.body = next; n > 0 {
			return n, nil
		}
	}
}

func (b *resumer) Close() error { return b.body.Close() }
