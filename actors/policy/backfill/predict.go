package backfill

// Method is how durations are predicted from what an owner ran before.
type Method uint8

// The methods.
const (
	// Stated trusts what is stated: no prediction.
	Stated Method = iota
	// Recent is the mean of the owner's last two runs, in whole seconds as published (Tsafrir, Etsion and Feitelson, TPDS
	// 2007).
	Recent
	// Learned is the mean of the owner's last five runs, of which one that fails at once moves less.
	Learned
)

// MethodNames are the names of the methods.
var MethodNames = []string{"stated", "recent", "learned"}

// Renews reports whether what an owner has waiting is predicted anew when a run of the owner has ended. EASY++ as published
// predicts once, at submission.
func (m Method) Renews() bool { return m == Learned }

// String returns the method's name.
func (m Method) String() string { return MethodNames[m] }

// takes is of how many runs each method takes the mean. None predicts from a single run.
var takes = [...]int{Recent: 2, Learned: historyMax}

// historyMax is how many runs of an owner a Predictor remembers.
const historyMax = 5

// runMax is what longer runs count as, so that their sum is a number.
const runMax = int64(1) << 60

// Predictor predicts durations from the past runs of owners. It remembers a bounded number of owners, and forgets those that
// have ended no run for longest.
type Predictor struct {
	max    int
	owners map[string]*history
	ends   history // of a ring: next is the owner whose run ended last, prev the one that has ended none for longest
}

type history struct {
	owner      string
	runs       []int64 // newest last
	prev, next *history
}

// NewPredictor makes one that remembers at most so many owners, at least 1.
func NewPredictor(owners int) *Predictor {
	p := &Predictor{max: max(owners, 1), owners: map[string]*history{}}
	p.ends.prev, p.ends.next = &p.ends, &p.ends
	return p
}

// Learn notes that a run of an owner has ended after ran.
func (p *Predictor) Learn(owner string, ran int64) {
	h := p.owners[owner]
	if h == nil {
		if len(p.owners) >= p.max {
			oldest := p.ends.prev
			oldest.unlink()
			delete(p.owners, oldest.owner)
		}
		h = &history{owner: owner}
		p.owners[owner] = h
	} else {
		h.unlink()
	}
	h.prev, h.next = &p.ends, p.ends.next
	h.prev.next, h.next.prev = h, h
	if len(h.runs) == historyMax {
		h.runs = append(h.runs[:0], h.runs[1:]...)
	}
	h.runs = append(h.runs, min(max(ran, 0), runMax))
}

func (h *history) unlink() { h.prev.next, h.next.prev = h.next, h.prev }

// Owners returns how many owners are remembered.
func (p *Predictor) Owners() int { return len(p.owners) }

// Predict returns how long a run of an owner will probably take, at least 1 and at most what is stated, which is Never if
// nothing is. Without a past to tell from it is what is stated.
func (p *Predictor) Predict(m Method, owner string, stated int64) int64 {
	h := p.owners[owner]
	if m == Stated || h == nil || len(h.runs) < 2 {
		return max(stated, 1)
	}
	runs := h.runs
	runs = runs[max(len(runs)-takes[m], 0):]
	sum := int64(0)
	for _, ran := range runs {
		sum += ran
	}
	mean := sum / int64(len(runs))
	if m == Recent {
		mean -= mean % 1000
	}
	return max(min(mean, stated), 1)
}

// Correction is how a prediction changes when a run outlives it.
type Correction uint8

// The corrections.
const (
	// ToStated expects it to take all that is stated; twice as long as before if nothing is.
	ToStated Correction = iota
	// Stepwise adds a minute to the first prediction, and more each further time, up to what is stated.
	Stepwise
)

// steps are Tsafrir's additions to the first prediction, in milliseconds.
var steps = [...]int64{
	60e3, 300e3, 900e3, 1800e3, 3600e3, 2 * 3600e3, 5 * 3600e3, 10 * 3600e3, 20 * 3600e3, 50 * 3600e3, 100 * 3600e3,
}

// Correct returns the new prediction for a run that was predicted to take first at its start, has been corrected so often
// before, and has now outlived its prediction last. It is more than last, and at most what is stated, as long as that is
// not outlived itself; from there on it doubles.
func (c Correction) Correct(first, last, stated int64, before int) int64 {
	next := After(last, max(last, 1))
	if last >= stated {
		return next
	}
	switch {
	case c == Stepwise && before < len(steps):
		next = max(After(first, steps[max(before, 0)]), After(last, 1))
	case stated != Never:
		next = stated
	}
	return min(next, stated)
}
