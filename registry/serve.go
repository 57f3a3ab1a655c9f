// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the only storage
	"github.com/sirupsen/logrus"
)

// ServeOptions configure the embedded registry.
type ServeOptions struct {
	// Dir holds all it stores, in distribution's own layout. It is made if need be.
	Dir string
	// Addr is where to listen, by default 127.0.0.1:5000. There are no accounts, so
	// whoever reaches the address may write.
	Addr string
	// Listener is used in the place of Addr if it is not nil, and closed at the end.
	Listener net.Listener
	// Ready, if not nil, is called once with the address when requests are served.
	Ready func(net.Addr)
	// Log gets distribution's warnings and errors; nil discards them.
	Log io.Writer
}

// Serve runs a registry over plain HTTP until ctx ends, then lets requests that
// are under way finish for 5 s. It is distribution v3
// (https://distribution.github.io/distribution/), whose log is one for the whole
// process: run one at a time.
func Serve(ctx context.Context, o ServeOptions) error {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	ln := o.Listener
	if ln == nil {
		if o.Addr == "" {
			o.Addr = "127.0.0.1:5000"
		}
		var err error
		if ln, err = net.Listen("tcp", o.Addr); err != nil {
			return err
		}
	}
	defer ln.Close()
	handler, shutdown, err := newHandler(ctx, o.Dir, o.Log)
	if err != nil {
		return err
	}
	defer shutdown()
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	if o.Ready != nil {
		o.Ready(ln.Addr())
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return srv.Close()
}

// newHandler is distribution's application over a folder.
func newHandler(ctx context.Context, dir string, log io.Writer) (h http.Handler, shutdown func(), err error) {
	if log == nil {
		log = io.Discard
	}
	logrus.SetOutput(log)
	logrus.SetLevel(logrus.WarnLevel)
	secret := make([]byte, 32) // upload sessions need not outlive the process
	if _, err := rand.Read(secret); err != nil {
		return nil, nil, err
	}
	config := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem": {"rootdirectory": dir},
			// Answers come from here, never from a redirect.
			"redirect":    {"disable": true},
			"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	config.HTTP.Secret = hex.EncodeToString(secret)
	// Whatever name or forwarded port the client knows us by, it keeps.
	config.HTTP.RelativeURLs = true
	config.Log.AccessLog.Disabled = true
	config.Catalog.MaxEntries = 1000
	defer func() {
		if p := recover(); p != nil { // how NewApp reports what it does not like
			err = fmt.Errorf("start the embedded registry: %v", p)
		}
	}()
	app := handlers.NewApp(context.WithoutCancel(ctx), config)
	return app, func() { _ = app.Shutdown() }, nil
}
