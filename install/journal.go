// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

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
	Boot   string `json:"boot"` // the boot that it was under way in
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
		// After a reboot the kernel has nothing to undo; Restore does the rest.
		if j.Boot == bootID() {
			if err := l.undo(ctx, env, cur, &j); err != nil {
				return fmt.Errorf("undo %q, which was interrupted: %w", j.Did, err)
			}
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
	if _, err := env.Kernel.Status(); errors.Is(err, kernel.ErrNoRuntime) {
		return nil // what took the runtime away took all else with it
	} else if err != nil {
		return err
	}
	for i := len(j.Loads) - 1; i >= 0; i-- {
		if cur.Find(j.Loads[i]) != nil {
			continue
		}
		if err := l.root.unload(ctx, env, j.Loads[i]); err != nil {
			return err
		}
	}
	for i := range cur.Packages {
		p := &cur.Packages[i]
		if !slices.Contains(j.Loads, p.Name) && !slices.Contains(j.Unloads, p.Name) {
			continue
		}
		if _, err := l.root.ensure(ctx, env, p); err != nil {
			return fmt.Errorf("%s %s: %w", p.Name, p.Version, err)
		}
	}
	return nil
}
