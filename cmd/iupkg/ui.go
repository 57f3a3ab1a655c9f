// SPDX-License-Identifier: Apache-2.0

package main

// How iupkg talks.
//
//   - What was asked for goes to standard output, everything else to standard
//     error: a pipe sees answers only.
//   - With --json, standard output gets exactly one JSON document: the answer,
//     or {"error": {"message", "detail", "hint", "exit"}}. (registry serve prints
//     it when it is ready, and goes on; completion and vm run print what they always
//     do.)
//   - A message is lower-case and has no full stop. An error is one line
//     "iupkg: error: …", then, if there is something to be done about it,
//     "iupkg: hint: …" with exactly that. Further lines of one error are indented.
//     Digests and the steps of a failure are cut short unless --verbose.
//   - Steps are reported as they are done, in the past tense, one line each, with
//     counts; --quiet hides them, --verbose adds lines. No step, no line.
//   - Progress that overwrites itself, with a bar and percent where the whole is
//     known, appears on a terminal only, and not with --no-progress, --quiet or
//     --json; elsewhere there are the steps' lines.
//   - Colour means error, warning or hint, on a terminal only, and not when
//     NO_COLOR is set (https://no-color.org).
//   - A question is asked only on a terminal, and not with --yes; a script that
//     ran the command has decided.
//   - What a terminal would obey, an escape sequence in a package's description or a
//     registry's answer, is written out.
//   - Tables have a header line in capitals, columns two spaces apart, and are
//     not cut to the terminal's width.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

type ui struct {
	in       io.Reader
	out, err io.Writer

	json, quiet, verbose, noProgress, yes bool

	errTTY, inTTY bool
	colour        bool
	printed       bool // the JSON document

	mu       sync.Mutex
	progress bool // a progress line is on the screen
	last     time.Time
}

func newUI(in io.Reader, out, err io.Writer) *ui {
	u := &ui{in: in, out: out, err: err, errTTY: isTerminal(err), inTTY: isTerminal(in)}
	u.colour = u.errTTY && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return u
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
)

func (u *ui) paint(colour, s string) string {
	if !u.colour {
		return s
	}
	return colour + s + "\x1b[0m"
}

// line writes one message behind what it is, off the progress line.
func (u *ui) line(what, s string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clear()
	fmt.Fprintln(u.err, what+printable(s))
}

// printable writes out what a terminal would obey: much of what is said comes from files
// and servers that nobody has vouched for.
func printable(s string) string {
	obeyed := func(r rune) bool {
		switch {
		case r == '\n' || r == '\t':
			return false
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // change the direction of text
			return true
		}
		return unicode.IsControl(r)
	}
	if utf8.ValidString(s) && strings.IndexFunc(s, obeyed) < 0 {
		return s
	}
	var b strings.Builder
	for _, c := range strings.SplitAfter(s, "") {
		r, n := utf8.DecodeRuneInString(c)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, c[0])
		case obeyed(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteString(c)
		}
	}
	return b.String()
}

// printableWriter makes printable what is written, of which each piece is whole.
type printableWriter struct{ io.Writer }

func (w printableWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, printable(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (u *ui) clear() {
	if u.progress {
		fmt.Fprint(u.err, "\r\x1b[K")
		u.progress = false
	}
}

// Write passes on what a tool says, off the progress line.
func (u *ui) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clear()
	return u.err.Write(p)
}

// clearProgress makes way for what others write.
func (u *ui) clearProgress() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clear()
}

// step reports something done.
func (u *ui) step(format string, args ...any) {
	if !u.quiet {
		u.line("", fmt.Sprintf(format, args...))
	}
}

// more is a line for --verbose.
func (u *ui) more(format string, args ...any) {
	if u.verbose {
		u.line("", fmt.Sprintf(format, args...))
	}
}

func (u *ui) warn(format string, args ...any) {
	u.line("iupkg: "+u.paint(yellow, "warning:")+" ", indentRest(fmt.Sprintf(format, args...)))
}

func (u *ui) hint(format string, args ...any) {
	u.line("iupkg: "+u.paint(cyan, "hint:")+" ", indentRest(fmt.Sprintf(format, args...)))
}

// working shows what is being done now, where that can be taken back.
func (u *ui) working(format string, args ...any) {
	u.paintWork(fmt.Sprintf(format, args...), false)
}

// paintWork shows what is being done, not more often than one can see unless it is the
// last that there is to show.
func (u *ui) paintWork(text string, last bool) {
	if !u.errTTY || u.noProgress || u.quiet || u.json {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := time.Now(); now.Sub(u.last) > 50*time.Millisecond || !u.progress || last {
		u.last = now
		u.clear()
		fmt.Fprint(u.err, printable(text))
		u.progress = true
	}
}

// barWidth is that of a bar, in characters.
const barWidth = 24

// workingAt is working with a bar for done of total, if the total is known.
func (u *ui) workingAt(done, total int64, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if total > 0 {
		text = bar(done, total) + " " + text
	}
	u.paintWork(text, total > 0 && done >= total)
}

// bar is "[######------------------]  25%".
func bar(done, total int64) string {
	done = max(0, min(done, total))
	full := int(done * barWidth / total)
	return fmt.Sprintf("[%s%s] %3d%%", strings.Repeat("#", full), strings.Repeat("-", barWidth-full), done*100/total)
}

// indentRest indents all lines but the first, unless they are.
func indentRest(s string) string {
	lines := strings.Split(s, "\n")
	for i := 1; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], " ") {
			lines[i] = "  " + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

// fail reports the error that ends the run and returns its exit code.
func (u *ui) fail(ctx context.Context, err error) int {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	code, hint := explain(err)
	full := strings.TrimRight(err.Error(), "\n")
	msg := strings.TrimRight(brief(err), "\n")
	if u.verbose {
		msg = full
	}
	u.line("iupkg: "+u.paint(red, "error:")+" ", indentRest(msg))
	if hint != "" {
		u.hint("%s", hint)
	}
	if u.json && !u.printed {
		type failure struct {
			Message string `json:"message"`
			Detail  string `json:"detail,omitempty"` // all of it, if that is more
			Hint    string `json:"hint,omitempty"`
			Exit    int    `json:"exit"`
		}
		detail := ""
		if full != msg {
			detail = full
		}
		// Standard output may be what has failed; the exit code says enough.
		_ = u.document(map[string]failure{"error": {msg, detail, hint, code}})
	}
	return code
}

// document prints the one JSON document of this run.
func (u *ui) document(v any) error {
	u.printed = true
	enc := json.NewEncoder(u.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// documentLine is document without white space, for who reads it by the line.
func (u *ui) documentLine(v any) error {
	u.printed = true
	return json.NewEncoder(u.out).Encode(v)
}

// answer prints what was asked for: v as JSON, or what text writes.
func (u *ui) answer(v any, text func(w io.Writer)) error {
	if u.json {
		return u.document(v)
	}
	w := bufio.NewWriter(u.out)
	text(printableWriter{w})
	return w.Flush()
}

// table writes rows under a header; cells of a row are tab-separated.
func table(w io.Writer, header string, rows ...string) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if header != "" {
		fmt.Fprintln(t, header)
	}
	for _, r := range rows {
		fmt.Fprintln(t, r)
	}
	t.Flush()
}

func row(cells ...any) string {
	s := make([]string, len(cells))
	for i, c := range cells {
		s[i] = strings.NewReplacer("\t", " ", "\n", " ").Replace(fmt.Sprint(c))
		if s[i] == "" {
			s[i] = "-"
		}
	}
	return strings.Join(s, "\t")
}

var errDeclined = errors.New("not confirmed")

// confirm asks before something that cannot simply be undone.
func (u *ui) confirm(format string, args ...any) error {
	if u.yes || !u.inTTY || !u.errTTY {
		return nil
	}
	u.mu.Lock()
	u.clear()
	fmt.Fprint(u.err, printable(fmt.Sprintf(format, args...)), " [y/N] ")
	u.mu.Unlock()
	answer, err := bufio.NewReader(u.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errDeclined
	}
	return nil
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// count is "1 blob", "2 blobs".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if base, ok := strings.CutSuffix(what, "y"); ok {
		return fmt.Sprintf("%d %sies", n, base)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// short is a digest for people.
func short(digest string) string {
	if hex, ok := strings.CutPrefix(digest, "sha256:"); ok && len(hex) > 12 {
		return hex[:12]
	}
	return digest
}
