// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Position is a place in a file; lines and columns count from 1, columns in
// bytes.
type Position struct{ Line, Column int }

func positionAt(b []byte, off int) Position {
	c := lineCounter{b: b}
	return c.at(off)
}

// lineCounter finds positions, fast if they are asked for in order.
type lineCounter struct {
	b           []byte
	off         int // counted so far
	line, start int // lines before, and where this one starts
}

func (c *lineCounter) at(off int) Position {
	off = min(max(off, 0), len(c.b))
	if off < c.off {
		*c = lineCounter{b: c.b}
	}
	seen := c.b[c.off:off]
	c.line += bytes.Count(seen, []byte("\n"))
	if i := bytes.LastIndexByte(seen, '\n'); i >= 0 {
		c.start = c.off + i + 1
	}
	c.off = off
	return Position{c.line + 1, off - c.start + 1}
}

// SyntaxError is a mistake at a place in a file. Field is the path of what it
// is about, "programs[0].hook", if it is about a field.
type SyntaxError struct {
	File         string // empty if the caller did not say
	Line, Column int
	Field        string
	Msg          string
}

func (e *SyntaxError) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ":")
	}
	fmt.Fprintf(&b, "%d:%d: ", e.Line, e.Column)
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	return b.String() + e.Msg
}

// FieldError is a value that the format does not allow.
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// problems collects FieldErrors.
type problems []error

func (p *problems) add(field string, err error) {
	if err != nil {
		*p = append(*p, &FieldError{field, err})
	}
}

func (p *problems) addf(field, format string, args ...any) {
	p.add(field, fmt.Errorf(format, args...))
}

func (p problems) err() error { return errors.Join(p...) }

// locate turns the FieldErrors in err into SyntaxErrors, at the place of the
// field or of the closest thing around it.
func locate(err error, file string, at map[string]Position) error {
	var list []error
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		list = j.Unwrap()
	} else if err != nil {
		list = []error{err}
	}
	for i, e := range list {
		fe, ok := e.(*FieldError)
		if !ok {
			continue
		}
		pos := Position{1, 1}
		for path := fe.Field; ; {
			if p, ok := at[path]; ok {
				pos = p
				break
			}
			cut := strings.LastIndexAny(path, ".[")
			if cut < 0 {
				break
			}
			path = path[:cut]
		}
		list[i] = &SyntaxError{File: file, Line: pos.Line, Column: pos.Column, Field: fe.Field, Msg: fe.Err.Error()}
	}
	return errors.Join(list...)
}

// DecodeJSON decodes one JSON document of at most limit bytes into v, a pointer to a
// struct, as all files that are read here are decoded: see strictJSON.
func DecodeJSON(b []byte, v any, limit int, file string) error {
	_, err := strictJSON(b, v, limit, file)
	return err
}

// strictJSON decodes one JSON document into v, a pointer to a struct. Beyond
// what encoding/json refuses, it refuses more than limit bytes, text that is
// not UTF-8, unknown and duplicate keys, keys in another case, and null. It
// returns where each field stands.
func strictJSON(b []byte, v any, limit int, file string) (map[string]Position, error) {
	fail := func(off int, field, format string, args ...any) error {
		p := positionAt(b, off)
		return &SyntaxError{File: file, Line: p.Line, Column: p.Column, Field: field, Msg: fmt.Sprintf(format, args...)}
	}
	if len(b) > limit {
		return nil, fail(0, "", "has %d bytes, at most %d are allowed", len(b), limit)
	}
	if !utf8.Valid(b) {
		off := 0
		for off < len(b) {
			r, n := utf8.DecodeRune(b[off:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			off += n
		}
		return nil, fail(off, "", "is not UTF-8")
	}
	var raw json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		var se *json.SyntaxError
		if errors.As(err, &se) {
			return nil, fail(int(se.Offset)-1, "", "%s", strings.TrimPrefix(se.Error(), "json: "))
		}
		return nil, fail(0, "", "%v", err)
	}
	w := strictWalker{b: b, lines: lineCounter{b: b}, dec: json.NewDecoder(bytes.NewReader(b)), at: map[string]Position{}, fail: fail}
	w.dec.UseNumber()
	if err := w.value("", reflect.TypeOf(v).Elem()); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) {
			return nil, fail(int(te.Offset)-1, strings.TrimPrefix(te.Field, "plain."), "want %s and found a %s", jsonKind(te.Type), te.Value)
		}
		return nil, fail(0, "", "%v", err)
	}
	return w.at, nil
}

// textType is what a type that is written as a string implements, such as time.Time.
var textType = reflect.TypeFor[encoding.TextUnmarshaler]()

func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a string"
		}
		return "a list"
	default:
		return fmt.Sprintf("a whole number of %d bits", t.Bits())
	}
}

// strictWalker goes over a document that is known to be well formed, along the
// type it is to be decoded into. The types are not recursive, so they bound
// the depth.
type strictWalker struct {
	b     []byte
	lines lineCounter
	dec   *json.Decoder
	at    map[string]Position
	fail  func(off int, field, format string, args ...any) error
}

// start returns the offset of the next token.
func (w *strictWalker) start() int {
	off := int(w.dec.InputOffset())
	for off < len(w.b) && strings.IndexByte(" \t\r\n,:", w.b[off]) >= 0 {
		off++
	}
	return off
}

func (w *strictWalker) value(path string, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	off := w.start()
	if path != "" {
		if _, ok := w.at[path]; !ok {
			w.at[path] = w.lines.at(off)
		}
	}
	tok, err := w.dec.Token()
	if err != nil {
		return w.fail(off, path, "%v", err)
	}
	wrong := func(found string) error { return w.fail(off, path, "want %s and found %s", jsonKind(t), found) }
	switch tok := tok.(type) {
	case nil:
		return wrong("null")
	case json.Delim:
		switch {
		case tok == '{' && t.Kind() == reflect.Struct:
			return w.object(path, structFields(t), nil)
		case tok == '{' && t.Kind() == reflect.Map:
			return w.object(path, nil, t.Elem())
		case tok == '{':
			return wrong("an object")
		case t.Kind() != reflect.Slice || t.Elem().Kind() == reflect.Uint8:
			return wrong("a list")
		}
		for i := 0; w.dec.More(); i++ {
			if err := w.value(path+"["+strconv.Itoa(i)+"]", t.Elem()); err != nil {
				return err
			}
		}
		_, err := w.dec.Token()
		return err
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		if _, isText := tok.(string); isText && reflect.PointerTo(t).Implements(textType) {
			return nil
		}
		return wrong("a plain value")
	case reflect.Slice: // of bytes
		if text, ok := tok.(string); ok {
			if _, err := base64.StdEncoding.DecodeString(text); err != nil {
				return w.fail(off, path, "is not base64: %v", err)
			}
		}
	}
	return nil
}

// object walks an object whose fields have the given types, or all elem.
func (w *strictWalker) object(path string, fields map[string]reflect.Type, elem reflect.Type) error {
	seen := map[string]bool{}
	for w.dec.More() {
		off := w.start()
		tok, err := w.dec.Token()
		if err != nil {
			return w.fail(off, path, "%v", err)
		}
		key := tok.(string)
		if seen[key] {
			return w.fail(off, path, "key %.80q stands twice", key)
		}
		seen[key] = true
		ft := elem
		if elem == nil {
			var ok bool
			if ft, ok = fields[key]; !ok {
				return w.fail(off, path, "unknown key %.80q", key)
			}
		}
		sub := key
		if path != "" {
			sub = path + "." + key
		}
		w.at[sub] = w.lines.at(off)
		if err := w.value(sub, ft); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

func structFields(t reflect.Type) map[string]reflect.Type {
	m := make(map[string]reflect.Type, t.NumField())
	for f := range t.Fields() {
		if f.Anonymous {
			maps.Copy(m, structFields(f.Type))
			continue
		}
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" {
			m[name] = f.Type
		}
	}
	return m
}
