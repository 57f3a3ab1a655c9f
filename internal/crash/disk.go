// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package crash

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Disk is the files below a folder as the program sees them, and as they are
// known to be on the medium. The model is the least that POSIX promises: what was
// written to a file is there after fsync of the file; that a name was made, moved
// or removed is there after fsync of its folder; what was not synced may be there
// or not, each by itself, names of one folder in their order.
type Disk struct {
	dir     string
	now     map[string]*node // by path relative to dir
	durable map[string]*node
	pending []change // of names, in order
	// Calls is how many changes were seen.
	Calls int
}

// node is a file, a folder or a symbolic link.
type node struct {
	folder bool
	link   string // target
	data   []byte
	synced []byte // data as of the last fsync
}

// change is the new meaning of one or, if something was moved, two names.
type change struct {
	dirs  []string
	names map[string]*node // nil: removed
}

// NewDisk starts from what is in a folder, all of which counts as synced.
func NewDisk(dir string) (*Disk, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	d := &Disk{dir: dir, now: map[string]*node{}}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		n := &node{folder: e.IsDir()}
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			n.link, err = os.Readlink(path)
		case !n.folder:
			n.data, err = os.ReadFile(path)
			n.synced = slices.Clone(n.data)
		}
		d.now[path[len(dir)+1:]] = n
		return err
	})
	d.durable = maps.Clone(d.now)
	return d, err
}

func (d *Disk) rel(path string) (string, bool) {
	rel, ok := strings.CutPrefix(path, d.dir+"/")
	return rel, ok
}

func (d *Disk) set(names map[string]*node) {
	c := change{names: names}
	for p, n := range names {
		if n == nil {
			delete(d.now, p)
		} else {
			d.now[p] = n
		}
		if dir := filepath.Dir(p); !slices.Contains(c.dirs, dir) {
			c.dirs = append(c.dirs, dir)
		}
	}
	d.pending = append(d.pending, c)
}

// See takes note of a call. It reports whether the call has changed anything
// below the folder, and fails on what the model does not know.
func (d *Disk) See(c *Call) (changed bool, err error) {
	if !c.Done || c.Ret < 0 {
		return false, nil
	}
	defer func() {
		if changed {
			d.Calls++
		}
	}()
	at := func(dirfd, path uint64) (string, bool) { return d.rel(c.At(dirfd, path)) }
	const cwd = uint64(0xffffff9c) // AT_FDCWD
	switch c.Nr {
	case unix.SYS_OPENAT:
		p, ok := at(c.Args[0], c.Args[1])
		if !ok || c.Args[2]&(unix.O_CREAT|unix.O_TRUNC) == 0 {
			return false, nil
		}
		if n := d.now[p]; n == nil {
			d.set(map[string]*node{p: {}})
		} else if c.Args[2]&unix.O_TRUNC != 0 {
			n.data = nil
		}
		return true, nil
	case unix.SYS_WRITE, unix.SYS_PWRITE64:
		n, err := d.open(c)
		if n == nil || err != nil {
			return false, err
		}
		// Both leave what stands there now: the position before a write is not known, but
		// what came out of it is.
		n.data, err = os.ReadFile(fmt.Sprintf("/proc/%d/fd/%d", c.tid, int32(c.Args[0])))
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EBADF) {
			n.data, err = os.ReadFile(c.Path(c.Args[0]))
		}
		return true, err
	case unix.SYS_FTRUNCATE:
		n, err := d.open(c)
		if n != nil {
			n.data = append(n.data, make([]byte, max(0, int(c.Args[1])-len(n.data)))...)[:c.Args[1]]
		}
		return n != nil, err
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		path := c.Path(c.Args[0])
		if path == d.dir {
			d.syncNames(".")
			return true, nil
		}
		p, ok := d.rel(path)
		if !ok {
			return false, nil
		}
		n := d.now[p]
		if n == nil {
			return false, fmt.Errorf("sync of %s, which is not known", p)
		}
		if n.folder {
			d.syncNames(p)
		} else {
			n.synced = slices.Clone(n.data)
		}
		return true, nil
	case unix.SYS_RENAME, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		from, ok1 := at(c.Args[0], c.Args[1])
		to, ok2 := at(c.Args[2], c.Args[3])
		if c.Nr == unix.SYS_RENAME {
			from, ok1 = at(cwd, c.Args[0])
			to, ok2 = at(cwd, c.Args[1])
		}
		if !ok1 && !ok2 {
			return false, nil
		}
		n := d.now[from]
		if !ok1 || !ok2 || n == nil || n.folder {
			return false, fmt.Errorf("move of %s to %s, which the model does not know", from, to)
		}
		d.set(map[string]*node{from: nil, to: n})
		return true, nil
	case unix.SYS_UNLINK, unix.SYS_RMDIR, unix.SYS_UNLINKAT:
		p, ok := at(c.Args[0], c.Args[1])
		if c.Nr != unix.SYS_UNLINKAT {
			p, ok = at(cwd, c.Args[0])
		}
		if ok {
			d.set(map[string]*node{p: nil})
		}
		return ok, nil
	case unix.SYS_MKDIR, unix.SYS_MKDIRAT:
		p, ok := at(c.Args[0], c.Args[1])
		if c.Nr == unix.SYS_MKDIR {
			p, ok = at(cwd, c.Args[0])
		}
		if ok {
			d.set(map[string]*node{p: {folder: true}})
		}
		return ok, nil
	case unix.SYS_SYMLINK, unix.SYS_SYMLINKAT:
		p, ok := at(c.Args[1], c.Args[2])
		if c.Nr == unix.SYS_SYMLINK {
			p, ok = at(cwd, c.Args[1])
		}
		if ok {
			d.set(map[string]*node{p: {link: c.String(c.Args[0])}})
		}
		return ok, nil
	case unix.SYS_LINK, unix.SYS_LINKAT, unix.SYS_TRUNCATE, unix.SYS_FALLOCATE, unix.SYS_COPY_FILE_RANGE:
		if p := c.Path(c.Args[0]) + " " + c.Path(c.Args[2]); strings.Contains(p, d.dir) {
			return false, fmt.Errorf("system call %d on %s, which the model does not know", c.Nr, p)
		}
	}
	return false, nil
}

// open is the file behind the call's descriptor.
func (d *Disk) open(c *Call) (*node, error) {
	p, ok := d.rel(strings.TrimSuffix(c.Path(c.Args[0]), " (deleted)"))
	if !ok {
		return nil, nil
	}
	n := d.now[p]
	if n == nil || n.folder {
		return nil, fmt.Errorf("write to %s, which is not known", p)
	}
	return n, nil
}

// syncNames makes what was done to the names of one folder durable.
func (d *Disk) syncNames(dir string) {
	rest := d.pending[:0:0]
	for _, c := range d.pending {
		if !slices.Contains(c.dirs, dir) {
			rest = append(rest, c)
			continue
		}
		apply(d.durable, c)
	}
	d.pending = rest
}

func apply(to map[string]*node, c change) {
	for p, n := range c.names {
		if n == nil {
			delete(to, p)
		} else {
			to[p] = n
		}
	}
}

// A Loss is a way in which a power cut loses what was not synced.
type Loss int

// The ways. Any number from LoseSome on loses at random, another way for each
// number.
const (
	LoseAll  Loss = iota // names and data: nothing but what was synced is there
	LoseData             // every name is there, what was not synced of the data is not
	LoseSome
)

func (l Loss) String() string {
	switch l {
	case LoseAll:
		return "all lost"
	case LoseData:
		return "data lost"
	}
	return fmt.Sprintf("some lost (%d)", int(l-LoseSome))
}

// Cut writes what a power cut now could leave into a folder, which must be empty.
func (d *Disk) Cut(loss Loss, into string) error {
	tree := maps.Clone(d.durable)
	random := rand.New(rand.NewPCG(uint64(loss), uint64(d.Calls)))
	stopped := map[string]bool{} // folders whose later changes are lost
	for _, c := range d.pending {
		switch {
		case loss == LoseAll:
			continue
		case loss >= LoseSome:
			if slices.ContainsFunc(c.dirs, func(dir string) bool { return stopped[dir] }) || random.IntN(3) == 0 {
				for _, dir := range c.dirs {
					stopped[dir] = true
				}
				continue
			}
		}
		apply(tree, c)
	}
	for _, p := range slices.Sorted(maps.Keys(tree)) {
		n := tree[p]
		path := filepath.Join(into, p)
		if _, err := os.Lstat(filepath.Dir(path)); err != nil {
			continue // its folder was lost
		}
		var err error
		switch {
		case n.folder:
			err = os.Mkdir(path, 0o755)
		case n.link != "":
			err = os.Symlink(n.link, path)
		default:
			data := n.synced
			if loss >= LoseSome && random.IntN(2) == 0 {
				data = n.data[:random.IntN(len(n.data)+1)]
				if len(n.synced) == len(n.data) {
					data = n.data
				}
			}
			err = os.WriteFile(path, data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
