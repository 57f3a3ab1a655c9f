// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// Diagnostic is one thing that the compiler or the toolchain says of a project.
type Diagnostic struct {
	Level   string `json:"level"`          // "error", "warning"
	Code    string `json:"code,omitempty"` // the compiler's, as E0425
	Message string `json:"message"`
	File    string `json:"file,omitempty"` // relative to the project
	Line    int    `json:"line,omitempty"` // from 1
	Column  int    `json:"column,omitempty"`
	Hint    string `json:"hint,omitempty"`

	// Raw is the compiler's message as cargo gives it (one line of JSON), made up for the
	// toolchain's own.
	Raw json.RawMessage `json:"-"`
}

// Check looks at a project as Build does, up to where code would be made: quick enough
// for an editor. What is wrong with the project is in the list; the error is about the
// toolchain.
func Check(ctx context.Context, opts Options) ([]Diagnostic, error) {
	b, err := newBuilder(opts)
	if err == nil {
		err = b.decideVariants(ctx)
	}
	if err == nil {
		err = b.prepare(ctx)
	}
	if err != nil {
		return ownDiagnostic(nil, err)
	}
	unlock, err := lockFile(ctx, b.targetDir+".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	args := []string{"rustc", "--lib", "--release", "--locked", "--quiet", "--target=" + target, "--crate-type=rlib",
		"--message-format=json", "--manifest-path=" + filepath.Join(b.dir, "Cargo.toml"), "--", "-Zno-codegen"}
	args = append(append(append(args, crateFlags...), b.variantFlags()...), remap(b.dir, b.crate.name))
	var said bytes.Buffer
	out, err := b.cargo(ctx, &said, args...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	list, rmeta, perr := b.diagnostics(out)
	if perr != nil {
		return nil, perr
	}
	if err != nil {
		if len(list) == 0 {
			return nil, fmt.Errorf("cargo: %s", strings.TrimSpace(said.String()))
		}
		return list, nil
	}
	base := strings.TrimSuffix(rmeta, filepath.Ext(rmeta))
	dir, name := filepath.Split(base)
	base = filepath.Join(dir, strings.TrimPrefix(name, "lib"))
	sources, err := readDepInfo(base + ".d")
	if err != nil {
		return nil, err
	}
	for i, s := range sources {
		if !filepath.IsAbs(s) { // to where cargo starts the compiler
			sources[i] = filepath.Join(b.dir, s)
		}
	}
	v, err := readViewFiles(base)
	if err != nil {
		return nil, err
	}
	if err := b.scan(sources); err != nil {
		return ownDiagnostic(list, err)
	}
	return ownDiagnostic(list, v.check())
}

// diagnostics reads cargo's messages: what is about the project's own crate, and where the
// compiler has put its metadata.
func (b *builder) diagnostics(messages []byte) (list []Diagnostic, rmeta string, err error) {
	dec := json.NewDecoder(bytes.NewReader(messages))
	for {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err == io.EOF {
			return list, rmeta, nil
		} else if err != nil {
			return nil, "", fmt.Errorf("cargo's messages: %w", err)
		}
		var m struct {
			Reason string `json:"reason"`
			Target struct {
				Name string `json:"name"`
			} `json:"target"`
			Filenames []string `json:"filenames"`
			Message   struct {
				Message string `json:"message"`
				Level   string `json:"level"`
				Code    *struct {
					Code string `json:"code"`
				} `json:"code"`
				Spans []struct {
					File    string `json:"file_name"`
					Line    int    `json:"line_start"`
					Column  int    `json:"column_start"`
					Primary bool   `json:"is_primary"`
				} `json:"spans"`
			} `json:"message"`
		}
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, "", fmt.Errorf("cargo's messages: %w", err)
		}
		if m.Target.Name != b.crate.lib {
			continue
		}
		for _, f := range m.Filenames {
			if strings.HasSuffix(f, ".rmeta") {
				rmeta = f
			}
		}
		// What is about the run, not about the source.
		if m.Reason != "compiler-message" || m.Message.Level == "failure-note" ||
			len(m.Message.Spans) == 0 && strings.HasPrefix(m.Message.Message, "aborting due to") {
			continue
		}
		d := Diagnostic{Level: m.Message.Level, Message: m.Message.Message, Raw: raw}
		if m.Message.Code != nil {
			d.Code = m.Message.Code.Code
		}
		for _, s := range m.Message.Spans {
			if s.Primary {
				d.File, d.Line, d.Column = s.File, s.Line, s.Column
				break
			}
		}
		list = append(list, d)
	}
}

// ownDiagnostic adds a rule that is broken, in the form of the compiler's messages.
func ownDiagnostic(list []Diagnostic, err error) ([]Diagnostic, error) {
	var rule *RuleError
	if err == nil {
		return list, nil
	}
	if !errors.As(err, &rule) {
		return nil, err
	}
	d := Diagnostic{Level: "error", Code: "iupkg", Message: rule.Rule, File: rule.File, Line: rule.Line, Hint: rule.Why}
	line := max(rule.Line, 1)
	span := map[string]any{"file_name": rule.File, "line_start": line, "line_end": line, "column_start": 1, "column_end": 1,
		"byte_start": 0, "byte_end": 0, "is_primary": true, "text": []any{}, "label": nil, "suggested_replacement": nil,
		"suggestion_applicability": nil, "expansion": nil}
	spans := []any{}
	if rule.File != "" {
		spans = append(spans, span)
	}
	d.Raw, err = json.Marshal(map[string]any{"reason": "compiler-message", "message": map[string]any{
		"$message_type": "diagnostic", "message": rule.Rule, "level": "error", "code": map[string]any{"code": "iupkg", "explanation": nil},
		"spans": spans, "children": []any{}, "rendered": "error: " + rule.Error() + "\n  = help: " + rule.Why + "\n"}})
	return append(list, d), err
}
