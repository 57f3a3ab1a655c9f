// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/sirupsen/logrus"
)

// ServeOptions configure the embedded registry.
type ServeOptions struct {
	// Dir holds all it stores, in distribution's own layout. It is made if need be. It may
	// be s3://BUCKET or s3://BUCKET/PREFIX instead, with the bucket's region and, if it is
	// not Amazon's, the server's URL; the keys are found where the AWS tools find them.
	// That needs a program built with the tag s3, which is 9 MB larger.
	Dir                  string
	S3Region, S3Endpoint string
	// Addr is where to listen, by default 127.0.0.1:5000. Without accounts whoever
	// reaches the address may write.
	Addr string
	// ReadOnly refuses whatever would change something.
	ReadOnly bool
	// Delete lets clients delete manifests, tags and blobs, which is refused otherwise.
	Delete bool
	// Htpasswd is a file of accounts, as htpasswd -B makes them, one of which every
	// request then needs.
	Htpasswd string
	// Certificate and Key are files in PEM for HTTPS; with ClientCAs, a file too,
	// clients must show a certificate of one of these authorities.
	Certificate, Key, ClientCAs string
	// Listener is used in the place of Addr if it is not nil, and closed at the end.
	Listener net.Listener
	// Ready, if not nil, is called once with the address when requests are served.
	Ready func(net.Addr)
	// Log gets distribution's warnings and errors; nil discards them.
	Log io.Writer
}

// Serve runs a registry, over plain HTTP if there is no certificate, until ctx ends, then lets requests that
// are under way finish for 5 s. It is distribution v3
// (https://distribution.github.io/distribution/), whose log is one for the whole
// process: run one at a time.
func Serve(ctx context.Context, o ServeOptions) error {
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
	secure, err := o.tls()
	if err != nil {
		return err
	}
	if secure != nil {
		ln = tls.NewListener(ln, secure)
	}
	handler, shutdown, err := newHandler(ctx, &o)
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

// hasS3 says that distribution's S3 driver is in this program.
var hasS3 bool

// storage is distribution's driver and its parameters.
func (o *ServeOptions) storage() (kind string, parameters configuration.Parameters, err error) {
	where, ok := strings.CutPrefix(o.Dir, "s3://")
	if !ok {
		return "filesystem", configuration.Parameters{"rootdirectory": o.Dir}, os.MkdirAll(o.Dir, 0o755)
	}
	if !hasS3 {
		return "", nil, errors.New("this program was built without storage in S3: make bin/iupkg-s3 builds one with it")
	}
	bucket, prefix, _ := strings.Cut(where, "/")
	if bucket == "" || o.S3Region == "" {
		return "", nil, errors.New("storage in S3 needs s3://BUCKET and the bucket's region")
	}
	parameters = configuration.Parameters{"bucket": bucket, "region": o.S3Region, "rootdirectory": "/" + prefix}
	if o.S3Endpoint != "" {
		parameters["regionendpoint"], parameters["forcepathstyle"] = o.S3Endpoint, true
		parameters["secure"] = strings.HasPrefix(o.S3Endpoint, "https://")
	}
	return "s3", parameters, nil
}

// tls is how HTTPS is served, nil for plain HTTP.
func (o *ServeOptions) tls() (*tls.Config, error) {
	if o.Certificate == "" && o.Key == "" {
		if o.ClientCAs != "" {
			return nil, errors.New("certificates of clients are only asked for over HTTPS: a certificate and its key are missing")
		}
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(o.Certificate, o.Key)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	if o.ClientCAs != "" {
		text, err := os.ReadFile(o.ClientCAs)
		if err != nil {
			return nil, err
		}
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: there is no certificate in PEM", o.ClientCAs)
		}
	}
	return c, nil
}

// newHandler is distribution's application over a folder.
func newHandler(ctx context.Context, o *ServeOptions) (h http.Handler, shutdown func(), err error) {
	log := o.Log
	if log == nil {
		log = io.Discard
	}
	logrus.SetOutput(log)
	logrus.SetLevel(logrus.WarnLevel)
	secret := make([]byte, 32) // upload sessions need not outlive the process
	if _, err := rand.Read(secret); err != nil {
		return nil, nil, err
	}
	kind, storage, err := o.storage()
	if err != nil {
		return nil, nil, err
	}
	config := &configuration.Configuration{
		Storage: configuration.Storage{
			kind: storage,
			// Answers come from here, never from a redirect.
			"redirect":    {"disable": true},
			"delete":      {"enabled": o.Delete},
			"maintenance": {"uploadpurging": map[any]any{"enabled": false}, "readonly": map[any]any{"enabled": o.ReadOnly}},
		},
	}
	if o.Htpasswd != "" {
		if _, err := os.Stat(o.Htpasswd); err != nil {
			return nil, nil, err // distribution would make one
		}
		config.Auth = configuration.Auth{"htpasswd": {"realm": "iupkg", "path": o.Htpasswd}}
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
	return &withReferrers{next: app}, func() { _ = app.Shutdown() }, nil
}
