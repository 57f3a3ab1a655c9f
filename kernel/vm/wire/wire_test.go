// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	var buf bytes.Buffer
	want := []Frame{
		{Kind: KindStdout, ID: 7, Payload: []byte("x\x00\n")},
		{Kind: KindStdin, ID: 1<<32 - 1, Payload: []byte{}},
		{Kind: KindStderr, ID: 0, Payload: bytes.Repeat([]byte("a"), MaxPayload)},
	}
	for _, f := range want {
		if err := Write(&buf, f); err != nil {
			t.Fatal(err)
		}
	}
	for i, w := range want {
		got, err := Read(&buf)
		if err != nil || got.Kind != w.Kind || got.ID != w.ID || !bytes.Equal(got.Payload, w.Payload) {
			t.Fatalf("frame %d: got kind %d id %d, %d bytes, %v", i, got.Kind, got.ID, len(got.Payload), err)
		}
	}
	if _, err := Read(&buf); err != io.EOF {
		t.Fatalf("after the last frame: got %v, want EOF", err)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		in   []byte
		want error
	}{
		"cut header":  {[]byte{1, 0, 0}, io.ErrUnexpectedEOF},
		"cut payload": {[]byte{2, 0, 0, 0, 5, 0, 0, 0, 0, 'x'}, io.ErrUnexpectedEOF},
		"no payload":  {[]byte{2, 0, 0, 0, 5, 0, 0, 0, 0}, io.ErrUnexpectedEOF},
		"too long":    {[]byte{1, 0, 16, 0, 5, 0, 0, 0, 0}, nil},
	} {
		_, err := Read(bytes.NewReader(tc.in))
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	if err := Write(io.Discard, Frame{Payload: make([]byte, MaxPayload+1)}); err == nil {
		t.Error("a payload over the limit was written")
	}
}
