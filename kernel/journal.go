// SPDX-License-Identifier: Apache-2.0

package kernel

import "errors"

// journal remembers how to undo what has been done so far.
type journal struct{ undo []func() error }

func (j *journal) did(undo func() error) { j.undo = append(j.undo, undo) }

// rollback undoes all, last first, whatever fails on the way.
func (j *journal) rollback() error {
	var errs []error
	for i := len(j.undo) - 1; i >= 0; i-- {
		errs = append(errs, j.undo[i]())
	}
	j.undo = nil
	return errors.Join(errs...)
}
