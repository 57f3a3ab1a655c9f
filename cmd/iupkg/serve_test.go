// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// serve VAR DIR [ADDR] runs iupkg registry serve until the script ends and puts
// its reference into VAR, its process into VAR_PID.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: serve VAR DIR [ADDR]")
	}
	addr := "127.0.0.1:0"
	if len(args) == 3 {
		addr = args[2]
	}
	cmd := exec.Command(lookPath(ts, "iupkg"), "registry", "serve", ts.MkAbs(args[1]), "--addr", addr, "--json")
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	done := make(chan error, 1)
	ts.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	go func() { done <- cmd.Wait() }()
	ts.Check(err)
	var ready struct{ Address string }
	ts.Check(json.Unmarshal(line, &ready))
	ts.Setenv(args[0], "http://"+ready.Address+"/test")
	ts.Setenv(args[0]+"_ADDR", ready.Address)
}

func lookPath(ts *testscript.TestScript, file string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, file)); err == nil {
			return path
		}
	}
	ts.Fatalf("%s is not in the PATH", file)
	return ""
}

// proxy VAR ADDR MODE stands between iupkg and a registry and harms what passes:
//
//	truncate   the connection ends in the middle of every blob
//	stall      nothing comes after the middle of every blob
//	flip       one bit in the middle of every blob is another
//	html       every answer is a page, as of a captive portal
//	500        every answer is an internal error
//	escape     every answer is a refusal with what a terminal obeys
//
// Blobs of packages only: index and manifests pass.
func proxy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: proxy VAR ADDR MODE")
	}
	mode := args[2]
	target, err := url.Parse("http://" + args[1])
	ts.Check(err)
	rp := &httputil.ReverseProxy{
		FlushInterval: -1, // what comes before the harm goes out
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if strings.Contains(r.Request.URL.Path, "/packages/") && strings.Contains(r.Request.URL.Path, "/blobs/") && r.Request.Method == http.MethodGet {
				half := max(r.ContentLength/2, 1)
				r.Body = &harm{ReadCloser: r.Body, mode: mode, left: half, gone: r.Request.Context().Done()}
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	var h http.Handler = rp
	switch mode {
	case "html":
		h = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>please log in</html>") })
	case "escape":
		h = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"errors":[{"code":"DENIED","message":"\u001b]0;title\u0007\u001b[31mred","detail":"\u001b[2J"}]}`)
		})
	case "500":
		h = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	quiet := log.New(io.Discard, "", 0)
	rp.ErrorLog = quiet
	srv := &http.Server{Handler: h, ErrorLog: quiet}
	go srv.Serve(ln)
	ts.Defer(func() { srv.Close() })
	ts.Setenv(args[0], "http://"+ln.Addr().String()+"/test")
}

// harm is a body that goes wrong after left bytes.
type harm struct {
	io.ReadCloser
	mode string
	left int64
	gone <-chan struct{}
}

func (b *harm) Read(p []byte) (int, error) {
	if b.left <= 0 {
		switch b.mode {
		case "truncate":
			return 0, io.ErrUnexpectedEOF
		case "stall":
			<-b.gone
			return 0, io.ErrUnexpectedEOF
		}
		return b.ReadCloser.Read(p)
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left == 0 && n > 0 && b.mode == "flip" {
		p[n-1] ^= 1
	}
	return n, err
}
