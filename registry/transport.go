// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// timing bounds how long a registry may take. Zero fields are the package's own.
type timing struct {
	connect time.Duration
	idle    time.Duration   // between two reads of an answer
	header  time.Duration   // from the request's end to the answer's beginning
	backoff []time.Duration // before each repetition
}

var defaultTiming = timing{
	connect: 10 * time.Second,
	idle:    15 * time.Second,
	header:  30 * time.Second,
	backoff: []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond},
}

// maxRetryAfter is how long a registry may ask us to wait.
const maxRetryAfter = 5 * time.Second

// transport repeats requests and gives up on answers that stall.
type transport struct {
	base http.RoundTripper
	timing
}

func newTransport(t timing, secure *tls.Config) *transport {
	return &transport{timing: t, base: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: t.connect}).DialContext,
		TLSClientConfig:        secure,
		TLSHandshakeTimeout:    t.connect,
		ResponseHeaderTimeout:  t.header,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,
	}}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		ctx, cancel := context.WithCancelCause(req.Context())
		try := req.Clone(ctx)
		if attempt > 0 && req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				cancel(nil)
				return nil, err
			}
			try.Body = body
		}
		resp, err := t.base.RoundTrip(try)
		replayable := req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
		if attempt >= len(t.backoff) || !replayable || !worthRepeating(resp, err) {
			if err != nil {
				cancel(nil)
				return nil, err
			}
			resp.Body = newIdleBody(resp.Body, t.idle, cancel, ctx)
			return resp, nil
		}
		wait := t.backoff[attempt]
		if resp != nil {
			if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
				wait = min(time.Duration(s)*time.Second, maxRetryAfter)
			}
			resp.Body.Close()
		}
		cancel(nil)
		select {
		case <-req.Context().Done():
			return nil, req.Context().Err()
		case <-time.After(wait):
		}
	}
}

// worthRepeating is true of failures that pass: no server yet, or one that is
// overloaded or just went away.
func worthRepeating(resp *http.Response, err error) bool {
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
			errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	}
	return resp.StatusCode == http.StatusTooManyRequests ||
		resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented
}

// idleBody ends an answer of which no byte has come for a while.
type idleBody struct {
	io.ReadCloser
	idle   time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
	ctx    context.Context
	once   sync.Once
}

func newIdleBody(body io.ReadCloser, idle time.Duration, cancel context.CancelCauseFunc, ctx context.Context) *idleBody {
	return &idleBody{ReadCloser: body, idle: idle, cancel: cancel, ctx: ctx,
		timer: time.AfterFunc(idle, func() { cancel(stalled(idle)) })}
}

// stalled is a net.Error: the registry sent nothing for so long.
type stalled time.Duration

func (s stalled) Error() string   { return fmt.Sprintf("no data for %v", time.Duration(s)) }
func (s stalled) Timeout() bool   { return true }
func (s stalled) Temporary() bool { return true }

func (b *idleBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.idle)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop() // a slow reader is not a slow server
	if err != nil && !errors.Is(err, io.EOF) {
		// "context canceled" would look like the caller's own doing.
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

func (b *idleBody) Close() error {
	b.once.Do(func() {
		b.timer.Stop()
		defer b.cancel(nil)
	})
	return b.ReadCloser.Close()
}

// checkRedirect follows what net/http does, except from HTTPS to HTTP.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("more than 10 redirects")
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("redirect from https to %s://%s refused", req.URL.Scheme, req.URL.Host)
	}
	return nil
}
