// SPDX-License-Identifier: Apache-2.0

// Package wire is the protocol between a virtual machine's agent and the program that started the machine, spoken over
// one virtio-serial port named PortName.
//
// A frame is a header of nine bytes, then a payload:
//
//	offset  size  field
//	0       4     length of the payload, little endian, at most MaxPayload
//	4       1     kind, see Kind
//	5       4     command the frame belongs to, little endian; 0 for none; chosen by the host
//
// The port is reliable and ordered, so there is no checksum and nothing is sent twice. Commands run at the same time;
// their frames interleave. A host that hangs up ends the machine.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// PortName is the name of the virtio-serial port.
const PortName = "iupkg.agent"

// MaxPayload is the largest payload in bytes; MaxData is what writers put into one data frame.
const (
	MaxPayload = 1 << 20
	MaxData    = 32 << 10
	headerLen  = 9
)

// Kind says what a frame's payload is.
type Kind byte

const (
	KindHello  Kind = 1 + iota // guest to host, once: Hello
	KindExec                   // host to guest: Exec
	KindStdin                  // host to guest: bytes; none means end of file
	KindSignal                 // host to guest: one byte, the signal for the command's process group
	KindStdout                 // guest to host: bytes
	KindStderr                 // guest to host: bytes
	KindExit                   // guest to host: Exit, the command's last frame
	KindKmsg                   // host to guest: send the kernel log as KindStdout frames, then KindExit
	KindPing                   // host to guest: answer with KindPong
	KindPong                   // guest to host
)

// Hello is the first frame of a machine that has booted, or could not.
type Hello struct {
	Release string `json:"release"`
	Error   string `json:"error,omitempty"` // why the machine is not usable
}

// Exec starts a command.
type Exec struct {
	Argv  []string `json:"argv"`
	Env   []string `json:"env,omitempty"` // added to the agent's own
	Dir   string   `json:"dir,omitempty"`
	Stdin bool     `json:"stdin,omitempty"` // KindStdin frames follow; else /dev/null
}

// Exit says how a command ended.
type Exit struct {
	Code  int    `json:"code"`            // as a shell has it: 128+n for signal n
	Error string `json:"error,omitempty"` // why it could not be started
}

// Boot is the file /boot.json of the initramfs: how to set up the machine.
type Boot struct {
	Hostname string   `json:"hostname"`
	Release  string   `json:"release"`
	KernelAt string   `json:"kernelAt"` // folder of the host with boot/ and lib/modules/ of this kernel
	Modules  []string `json:"modules"`  // files of the initramfs, in the order to load them
	Network  bool     `json:"network"`
	FS       string   `json:"fs"` // "9p" or "virtiofs": how the host's files come; the tag of / is RootTag
	Shares   []Share  `json:"shares,omitempty"`
}

// RootTag is the mount tag of the host's files.
const RootTag = "root"

// Share is a folder of the host that the guest mounts.
type Share struct {
	Tag      string `json:"tag"`
	Guest    string `json:"guest"`
	Writable bool   `json:"writable"`
}

// Frame is one frame.
type Frame struct {
	Kind    Kind
	ID      uint32
	Payload []byte
}

// Write writes one frame in one call of w.Write.
func Write(w io.Writer, f Frame) error {
	if len(f.Payload) > MaxPayload {
		return fmt.Errorf("frame of %d bytes is over the limit of %d", len(f.Payload), MaxPayload)
	}
	b := make([]byte, headerLen+len(f.Payload))
	binary.LittleEndian.PutUint32(b, uint32(len(f.Payload)))
	b[4] = byte(f.Kind)
	binary.LittleEndian.PutUint32(b[5:], f.ID)
	copy(b[headerLen:], f.Payload)
	_, err := w.Write(b)
	return err
}

// WriteJSON writes a frame with v as payload.
func WriteJSON(w io.Writer, kind Kind, id uint32, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return Write(w, Frame{Kind: kind, ID: id, Payload: b})
}

// Read reads one frame. It returns io.EOF only between frames.
func Read(r io.Reader) (Frame, error) {
	var h [headerLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Frame{}, err
	}
	n := binary.LittleEndian.Uint32(h[:])
	if n > MaxPayload {
		return Frame{}, fmt.Errorf("frame of %d bytes is over the limit of %d", n, MaxPayload)
	}
	f := Frame{Kind: Kind(h[4]), ID: binary.LittleEndian.Uint32(h[5:]), Payload: make([]byte, n)}
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return f, nil
}
