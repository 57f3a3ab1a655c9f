// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/iupkg/iupkg/kernel"
)

// journal is what a transaction is about to do to the kernel. It is written
// before the first such thing and removed when the transaction has ended one way
// or the other, so whoever finds one follows a transaction that was killed.
type journal struct {
	Schema int    `json:"schema"`
	Base   int    `json:"base"` // generation to go back to
	Next   int    `json:"next"` // generation that says it was committed
	Did    string `json:"did"`
	// Loads are names that it may have loaded; Unloads packages of the base that
	// it may have unloaded or replaced.
	Loads   []string `json:"loads"`
	Unloads []string `json:"unloads"`
}

func (r *Root) journalPath() string { return r.Sub("pending.json") }

func (r *Root) writeJournal(j *journal) error {
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(r.journalPath(), append(data, '\n'))
}

func (r *Root) clearJournal() error { return remove(r.journalPath()) }

// Pending says whether a transaction was killed and has not been undone yet.
func (r *Root) Pending() (bool, error) {
	_, err := os.Stat(r.journalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Recover undoes what a killed transaction has left: the kernel gets back what
// the generation in force says. It is done already if there is no journal.
func (l *Lock) Recover(ctx context.Context, env *Env) error {
	r := l.root
	data, err := os.ReadFile(r.journalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var j journal
	if err := json.Unmarshal(data, &j); err != nil || j.Schema != schema {
		return fmt.Errorf("%s: malformed (%v)", r.journalPath(), err)
	}
	cur, err := r.Current()
	if err != nil {
		return err
	}
	if cur.Number != j.Next {
		if err := l.undo(ctx, env, cur, &j); err != nil {
			return fmt.Errorf("undo %q, which was interrupted: %w", j.Did, err)
		}
		// It may have been written and not become current.
		if err := remove(r.generationPath(j.Next)); err != nil {
			return err
		}
		env.report(Event{Kind: EventNotice, Text: fmt.Sprintf("undid %q, which was interrupted", j.Did)})
	}
	return r.clearJournal()
}

// undo makes the kernel have of the names in the journal what the generation
// has. What the kernel holds decides, not how far the transaction is thought to
// have got.
func (l *Lock) undo(ctx context.Context, env *Env, cur *Generation, j *journal) error {
	status, err := env.Kernel.Status()
	if errors.Is(err, kernel.ErrNoRuntime) {
		status = nil // after a reboot: only pins and filters could be left, and are not
	} else if err != nil {
		return err
	}
	objects := map[string]string{} // name to object
	for _, s := range status {
		objects[s.Name] = fmt.Sprintf("sha256:%x", s.Digest)
	}
	inBase := map[string]bool{}
	for _, name := range j.Unloads {
		inBase[name] = true
	}
	for _, name := range j.Loads {
		pkg := cur.Find(name)
		if inBase[name] && pkg != nil && l.root.loadedAs(pkg, objects[name]) {
			continue // the old one is there still, or again
		}
		if err := l.root.unload(ctx, env, name); err != nil {
			return err
		}
		delete(objects, name)
	}
	if err != nil { // no runtime: nothing can be loaded, nor was
		return nil
	}
	for _, name := range j.Unloads {
		pkg := cur.Find(name)
		if pkg == nil || objects[name] == pkg.Object {
			continue
		}
		s, _, err := verify(l.root.Store, env, pkg)
		if err != nil {
			return err
		}
		if _, err := l.root.load(ctx, env, s.spec); err != nil {
			return err
		}
	}
	return nil
}
