// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"io/fs"

	"github.com/pelletier/go-toml/v2"

	"github.com/iupkg/iupkg/manifest"
)

const defaultConfig = "/etc/iupkg/config.toml"

// config is the configuration file, TOML. Unknown keys are refused; flags win
// over it.
type config struct {
	Registry string `toml:"registry"` // as --registry
	Root     string `toml:"root"`     // as --root
	// Mirrors are asked before the registry, in order; what one lacks, or has wrong,
	// is asked of the next.
	Mirrors []string `toml:"mirrors"`
	// TLS is by host, with its port if it has one.
	TLS map[string]tlsConfig `toml:"tls"`
}

// tlsConfig is files in PEM.
type tlsConfig struct {
	CA          string `toml:"ca"`          // authorities that count beside the system's
	Certificate string `toml:"certificate"` // of this machine, for a registry that asks
	Key         string `toml:"key"`
}

// readConfig reads the file; that it is not there is an error only if it was
// asked for.
func readConfig(path string, must bool) (config, error) {
	var c config
	data, err := readInput(path, maxInput)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return c, nil
	}
	if err != nil {
		return c, usageError{err}
	}
	dec := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, usageError{manifest.TOMLError(path, err)}
	}
	return c, nil
}
