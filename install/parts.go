// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/signing"
)

// Source is where packages come from.
type Source interface {
	// Fetch puts every blob of the artifact with that digest into the store, save
	// those that are there, and says which they are. All are verified against
	// their digests, which follow from digest; that this is the right one, and
	// who signed it, is not the source's to say.
	Fetch(ctx context.Context, name, digest string, into *Store) (*Fetched, error)
}

// Fetched names the blobs of an artifact.
type Fetched struct {
	Manifest  string   `json:"manifest"` // our manifest, the artifact's config
	Object    string   `json:"object"`   // ELF object
	KernelSig string   `json:"kernelSignature,omitempty"`
	Debug     string   `json:"debug,omitempty"`
	Bundles   []string `json:"bundles"`            // sigstore bundles among the referrers
	Wrappers  []string `json:"wrappers,omitempty"` // modules made ahead among the referrers
	Blobs     []string `json:"blobs"`              // all parts of the artifact, and the OCI manifest
}

// Policy decides whom to trust; *signing.Policy does.
type Policy interface {
	Verify(name, version, digest string, bundles [][]byte) (*signing.Verdict, error)
}

// Kernel is what transactions ask of the running kernel; Live does it.
type Kernel interface {
	// Load does all of it or nothing.
	Load(ctx context.Context, spec kernel.LoadSpec) (*kernel.Loaded, error)
	// Replace puts another object in the place of a loaded one, or leaves that.
	Replace(ctx context.Context, old *kernel.Loaded, spec kernel.LoadSpec) (*kernel.Loaded, error)
	// Unload removes what is there under the name; nothing there is no failure.
	Unload(ctx context.Context, l *kernel.Loaded) error
	// Intact says with *kernel.Broken what of a load is not as it was left.
	Intact(l *kernel.Loaded) error
	// Settle ends what a load or replacement that was killed has left around l; if l
	// is not what runs it fails with *kernel.Broken. It may change l's pins.
	Settle(ctx context.Context, l *kernel.Loaded) error
	// Status is what is loaded; kernel.ErrNoRuntime if nothing can be.
	Status() ([]kernel.Status, error)
}

// Live is the kernel that runs.
type Live struct {
	// Runtime is the iu.ko that is loaded.
	Runtime []byte
}

// Load is kernel.Load.
func (l Live) Load(ctx context.Context, spec kernel.LoadSpec) (*kernel.Loaded, error) {
	spec.Runtime = l.Runtime
	return kernel.Load(ctx, spec)
}

// Replace is kernel.Replace.
func (l Live) Replace(ctx context.Context, old *kernel.Loaded, spec kernel.LoadSpec) (*kernel.Loaded, error) {
	spec.Runtime = l.Runtime
	return kernel.Replace(ctx, old, spec)
}

// Unload is kernel.Unload.
func (Live) Unload(ctx context.Context, l *kernel.Loaded) error { return kernel.Unload(ctx, l) }

// Intact is kernel.Loaded.Intact.
func (Live) Intact(l *kernel.Loaded) error { return l.Intact() }

// Settle is kernel.Settle.
func (Live) Settle(ctx context.Context, l *kernel.Loaded) error { return kernel.Settle(ctx, l) }

// Status is kernel.List.
func (Live) Status() ([]kernel.Status, error) { return kernel.List() }

// Env is what a transaction works with.
type Env struct {
	Source Source // asked for what the store lacks; nil: it must not lack anything
	Policy Policy
	Kernel Kernel
	// Release is the running kernel's, for the record.
	Release string
	// Check says what keeps requirements from being met on the running kernel.
	Check func(manifest.Requirements) []manifest.Finding
	// StageOnly ends a transaction when all is fetched and verified: it changes
	// nothing but the blobs in the store.
	StageOnly bool
	// Report is told of each step when it is done, and of fetching while it goes on; may
	// be nil.
	Report func(Event)
}

// An Event is one step done.
type Event struct {
	Kind    EventKind
	Name    string
	Version string
	Blobs   int              // EventFetched: how many were not there
	Bytes   int64            // EventFetched: their size; EventProgress: received so far
	Total   int64            // EventProgress: of so many, 0 if that is not known; signatures come on top
	Verdict *signing.Verdict // EventVerified
	Loaded  *kernel.Loaded   // EventLoaded
	Text    string           // EventNotice
}

// EventKind says what an event is about.
type EventKind int

// The kinds of events.
const (
	EventFetched EventKind = iota
	EventVerified
	EventLoaded
	EventReplaced
	EventUnloaded
	EventNotice // not a failure, but the user should know
	EventProgress
)

func (e *Env) report(ev Event) {
	if e.Report != nil {
		e.Report(ev)
	}
}
