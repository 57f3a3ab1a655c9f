// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"errors"
	"fmt"
)

// ErrCompile says that the compiler refused the crate, and has said why.
var ErrCompile = errors.New("the extension does not compile")

// RuleError is a rule of the toolchain that a project breaks.
type RuleError struct {
	File string // relative to the project; empty: the whole project
	Line int    // 0: the whole file
	Rule string // what is wrong
	Why  string // why there is the rule, or what to do instead
}

func (e *RuleError) Error() string {
	switch {
	case e.File == "":
		return e.Rule
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", e.File, e.Rule)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Rule)
}

// Hint is the next thing to do.
func (e *RuleError) Hint() string { return e.Why }

// MissingError is a tool or file of the toolchain that is not there.
type MissingError struct {
	What    string
	Package string // Debian's package that has it
}

func (e *MissingError) Error() string { return "toolchain: " + e.What + " is missing" }

// Hint is the next thing to do.
func (e *MissingError) Hint() string {
	if e.Package == "" {
		return ""
	}
	return "install it with `apt-get install " + e.Package + "`"
}
