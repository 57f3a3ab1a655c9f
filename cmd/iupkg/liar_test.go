// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
)

// telling answers a request; truth is what the registry says.
type telling func(w http.ResponseWriter, r *http.Request, truth func() *httptest.ResponseRecorder)

// A lie is what a registry, or what stands before it, answers in the place of the
// truth.
type lie struct {
	path string // of the URL, its end; "" for all
	part string // something in the path, for lies about many things
	tell telling
}

// liar is a proxy before a registry.
func liar(ref string, lies []lie) (*httptest.Server, error) {
	target, err := url.Parse(ref)
	if err != nil {
		return nil, err
	}
	target.Path = ""
	honest := httputil.NewSingleHostReverseProxy(target)
	honest.ErrorLog = log.New(io.Discard, "", 0) // a client that has gone
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A lie about a list of referrers is told wherever the list is looked for.
		path := strings.Replace(r.URL.Path, "/referrers/sha256:", "/manifests/sha256-", 1)
		for _, x := range lies {
			if (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.HasSuffix(path, x.path) && strings.Contains(path, x.part) {
				x.tell(w, r, func() *httptest.ResponseRecorder {
					rec := httptest.NewRecorder()
					honest.ServeHTTP(rec, r)
					return rec
				})
				return
			}
		}
		honest.ServeHTTP(w, r)
	})), nil
}

// tells is the lies by name; the argument is theirs.
var tells = map[string]func(l *lab, arg string) (telling, error){
	// flip changes one bit in the middle.
	"flip": changed(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }),
	// truncate leaves out the second half, and says so.
	"truncate": changed(func(b []byte) []byte { return b[:len(b)/2] }),
	// empty sends no bytes.
	"empty": changed(func([]byte) []byte { return nil }),
	// extend sends one byte more.
	"extend": changed(func(b []byte) []byte { return append(b, '\n') }),
	// upper sends upper case.
	"upper": changed(bytes.ToUpper),
	// html is the page of a captive portal.
	"html": changed(func([]byte) []byte { return []byte("<html>please log in</html>") }),
	// null is JSON that is nothing.
	"null": changed(func([]byte) []byte { return []byte("null") }),
	// deep is brackets that open and never close.
	"deep": changed(func([]byte) []byte { return bytes.Repeat([]byte("["), 60<<10) }),
	// is sends something else of the registry, by its name.
	"is": func(l *lab, arg string) (telling, error) {
		n, ok := l.named[arg]
		if !ok || n.data == nil {
			return nil, fmt.Errorf("there is no %s to send", arg)
		}
		return changed(func([]byte) []byte { return bytes.Clone(n.data) })(l, "")
	},
	// labelled is another manifest under the header that names the right digest.
	"labelled": func(l *lab, arg string) (telling, error) {
		n := l.named[arg]
		return func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Docker-Content-Digest", r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
			w.Write(n.data)
		}, nil
	},
	// cut closes the connection after half of what was announced.
	"cut": func(*lab, string) (telling, error) {
		return func(w http.ResponseWriter, r *http.Request, truth func() *httptest.ResponseRecorder) {
			rec := truth()
			copyHeader(w, rec)
			w.WriteHeader(rec.Code)
			w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, nil
	},
	// endless begins with the truth and never ends.
	"endless": func(*lab, string) (telling, error) {
		return func(w http.ResponseWriter, r *http.Request, truth func() *httptest.ResponseRecorder) {
			rec := truth()
			copyHeader(w, rec)
			w.Header().Del("Content-Length")
			w.WriteHeader(rec.Code)
			w.Write(rec.Body.Bytes())
			chunk := bytes.Repeat([]byte("a"), 4096)
			for r.Method == http.MethodGet && r.Context().Err() == nil {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, nil
	},
	// bomb is a gigabyte of zeros in a megabyte of gzip.
	"bomb": func(*lab, string) (telling, error) {
		return func(w http.ResponseWriter, r *http.Request, truth func() *httptest.ResponseRecorder) {
			rec := truth()
			copyHeader(w, rec)
			w.Header().Del("Content-Length")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			z.Write(rec.Body.Bytes())
			zeros := make([]byte, 1<<20)
			for range 1024 {
				if _, err := z.Write(zeros); err != nil {
					return
				}
			}
			z.Close()
		}, nil
	},
	// zipped is the truth, compressed where nobody asked for it.
	"zipped": changed(func(b []byte) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		z.Write(b)
		z.Close()
		return out.Bytes()
	}),
	// huge announces more than there is any right to.
	"huge": func(*lab, string) (telling, error) {
		return func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Content-Length", strconv.Itoa(1<<40))
			w.Write(make([]byte, 100))
		}, nil
	},
	// status answers with a status and nothing else.
	"status": func(_ *lab, arg string) (telling, error) {
		code, err := strconv.Atoi(arg)
		return func(w http.ResponseWriter, _ *http.Request, _ func() *httptest.ResponseRecorder) { w.WriteHeader(code) }, err
	},
	// redirect sends elsewhere.
	"redirect": func(_ *lab, arg string) (telling, error) {
		return func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
			to := arg
			if to == "itself" {
				to = r.URL.Path
			}
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		}, nil
	},
	// drop closes the connection without a word.
	"drop": func(*lab, string) (telling, error) {
		return func(http.ResponseWriter, *http.Request, func() *httptest.ResponseRecorder) {
			panic(http.ErrAbortHandler)
		}, nil
	},
	// ssh is another protocol.
	"ssh": func(*lab, string) (telling, error) {
		return func(w http.ResponseWriter, _ *http.Request, _ func() *httptest.ResponseRecorder) {
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				io.WriteString(conn, "SSH-2.0-OpenSSH\r\n\r\n")
				conn.Close()
			}
		}, nil
	},
	// headers never end.
	"headers": func(*lab, string) (telling, error) {
		return func(w http.ResponseWriter, _ *http.Request, _ func() *httptest.ResponseRecorder) {
			w.Header().Set("X-Long", strings.Repeat("a", 1<<20))
			w.WriteHeader(http.StatusOK)
		}, nil
	},
}

func copyHeader(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
}

// changed is a lie that makes something of the truth.
func changed(f func([]byte) []byte) func(*lab, string) (telling, error) {
	return func(*lab, string) (telling, error) {
		return func(w http.ResponseWriter, r *http.Request, truth func() *httptest.ResponseRecorder) {
			rec := truth()
			copyHeader(w, rec)
			body := rec.Body.Bytes()
			if r.Method == http.MethodGet {
				body = f(bytes.Clone(body))
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.Header().Del("Docker-Content-Digest")
			w.WriteHeader(rec.Code)
			w.Write(body)
		}, nil
	}
}

// answerWith is a lie of other bytes.
func answerWith(body []byte, mediaType string) telling {
	return func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == http.MethodGet {
			w.Write(body)
		}
	}
}
