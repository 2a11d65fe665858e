package lossyfs

import "math/rand/v2"

// pageSize is the grain in which data is kept: what was synced is shared with what programs see until they write.
const pageSize = 16 << 10

// sector is the grain in which a torn write falls.
const sector = 512

// page is a piece of a file. A page that is on disk is never written again: a write makes a copy.
type page struct {
	data   [pageSize]byte
	synced bool
}

// content is what a file holds at one time. A page that is nil has zeros.
type content struct {
	pages []*page
	size  int64
}

// file is a regular file: as programs see it, and as it is on disk.
type file struct {
	live, disk content
	// dirty are the pages of live that are not those of disk.
	dirty map[int]struct{}
}

// bytes is how much room the content takes.
func (c *content) bytes() (n int64) {
	for _, p := range c.pages {
		if p != nil {
			n += pageSize
		}
	}
	return n
}

func (c *content) at(i int) *page {
	if i < len(c.pages) {
		return c.pages[i]
	}
	return nil
}

func (c *content) put(i int, p *page) {
	for len(c.pages) <= i {
		c.pages = append(c.pages, nil)
	}
	c.pages[i] = p
}

// read fills p from offset on, and returns how much there was.
func (c *content) read(p []byte, offset int64) int {
	if offset >= c.size {
		return 0
	}
	p = p[:min(int64(len(p)), c.size-offset)]
	for n := 0; n < len(p); {
		i, in := int((offset+int64(n))/pageSize), int((offset+int64(n))%pageSize)
		part := p[n:min(len(p), n+pageSize-in)]
		if from := c.at(i); from != nil {
			copy(part, from.data[in:])
		} else {
			clear(part)
		}
		n += len(part)
	}
	return len(p)
}

// writable is page i of what programs see, to be changed; fresh reports that it takes room that it did not take.
func (f *file) writable(i int) (p *page, fresh bool) {
	p = f.live.at(i)
	switch {
	case p == nil:
		p, fresh = &page{}, true
	case p.synced:
		p = &page{data: p.data}
	default:
		return p, false
	}
	f.live.put(i, p)
	f.mark(i)
	return p, fresh
}

func (f *file) mark(i int) {
	if f.dirty == nil {
		f.dirty = map[int]struct{}{}
	}
	f.dirty[i] = struct{}{}
}

// room is how many bytes of room a write needs that the file does not have.
func (f *file) room(offset int64, n int) (need int64) {
	for i := offset / pageSize; i*pageSize < offset+int64(n); i++ {
		if f.live.at(int(i)) == nil {
			need += pageSize
		}
	}
	return need
}

func (f *file) write(p []byte, offset int64) {
	for n := 0; n < len(p); {
		i, in := int((offset+int64(n))/pageSize), int((offset+int64(n))%pageSize)
		to, _ := f.writable(i)
		n += copy(to.data[in:], p[n:])
	}
	f.live.size = max(f.live.size, offset+int64(len(p)))
}

// truncate changes the length, and returns how much room that frees.
func (f *file) truncate(size int64) (freed int64) {
	keep := int((size + pageSize - 1) / pageSize)
	for i := keep; i < len(f.live.pages); i++ {
		if f.live.pages[i] != nil {
			freed += pageSize
			f.live.pages[i] = nil
			f.mark(i)
		}
	}
	if in := size % pageSize; size < f.live.size && in > 0 && f.live.at(keep-1) != nil {
		last, _ := f.writable(keep - 1)
		clear(last.data[in:])
	}
	f.live.size = size
	return freed
}

// sync brings the content to disk, and returns how many bytes that were.
func (f *file) sync() (bytes uint64) {
	for i := range f.dirty {
		p := f.live.at(i)
		if p != nil {
			p.synced = true
			bytes += pageSize
		}
		if p != nil || i < len(f.disk.pages) {
			f.disk.put(i, p)
		}
	}
	clear(f.dirty)
	f.disk.size = f.live.size
	return bytes
}

// cut forgets what is not on disk, and returns how many bytes that were. With torn, pages that were written since may be
// there all the same, whole or up to a sector.
func (f *file) cut(torn *rand.Rand) (lost uint64) {
	for i := range max(len(f.live.pages), len(f.disk.pages)) { // in order: torn draws for each
		if _, dirty := f.dirty[i]; !dirty {
			continue
		}
		written := f.live.at(i)
		if written == nil {
			continue
		}
		lost += pageSize
		if torn == nil {
			continue
		}
		if n := [3]int{0, pageSize, sector * torn.IntN(pageSize/sector)}[torn.IntN(3)]; n > 0 {
			mixed := &page{synced: true}
			if old := f.disk.at(i); old != nil {
				mixed.data = old.data
			}
			copy(mixed.data[:n], written.data[:n])
			f.disk.put(i, mixed)
			f.disk.size = max(f.disk.size, min(f.live.size, int64(i)*pageSize+int64(n)))
		}
	}
	clear(f.dirty)
	f.live = content{pages: append([]*page(nil), f.disk.pages...), size: f.disk.size}
	return lost
}

// flip turns bits of one byte, in both contents.
func (f *file) flip(offset int64, mask byte) {
	i, in := int(offset/pageSize), offset%pageSize
	shared := f.live.at(i)
	for _, c := range []*content{&f.live, &f.disk} {
		p := c.at(i)
		if p == nil || c == &f.disk && p != shared {
			continue // zeros; or what is on disk is older, and will be written over
		}
		turned := &page{data: p.data, synced: p.synced}
		turned.data[in] ^= mask
		c.put(i, turned)
	}
}
