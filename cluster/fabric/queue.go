package fabric

import "sync"

// queue hands values from many senders to one receiver, in order, within limits of number and weight.
type queue[T any] struct {
	countMax, weightMax int

	mu    sync.Mutex
	items []weighed[T]
	// count and weight are of all that was pushed and has not been taken to its end.
	count, weight int
	closed        bool
	wake          chan struct{}
	done          chan struct{}
}

type weighed[T any] struct {
	value  T
	weight int
}

// newQueue starts a goroutine that calls take with one value after the other until close.
func newQueue[T any](countMax, weightMax int, take func(T)) *queue[T] {
	q := &queue[T]{countMax: countMax, weightMax: weightMax, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go q.run(take)
	return q
}

// push never blocks; it reports whether there was room.
func (q *queue[T]) push(value T, weight int) bool {
	q.mu.Lock()
	if q.closed || q.count >= q.countMax || q.weight+weight > q.weightMax {
		q.mu.Unlock()
		return false
	}
	q.items = append(q.items, weighed[T]{value, weight})
	q.count++
	q.weight += weight
	q.mu.Unlock()
	q.signal()
	return true
}

// waiting is how much has been pushed and not taken to its end.
func (q *queue[T]) waiting() (count, weight int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count, q.weight
}

func (q *queue[T]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// close drops what waits and returns when the receiver has ended.
func (q *queue[T]) close() {
	q.mu.Lock()
	q.closed, q.items = true, nil
	q.mu.Unlock()
	q.signal()
	<-q.done
}

func (q *queue[T]) run(take func(T)) {
	defer close(q.done)
	var batch []weighed[T]
	for {
		q.mu.Lock()
		closed := q.closed
		batch, q.items = q.items, batch[:0]
		q.mu.Unlock()
		if closed {
			return
		}
		for i := range batch {
			take(batch[i].value)
			q.mu.Lock()
			q.count--
			q.weight -= batch[i].weight
			closed = q.closed
			q.mu.Unlock()
			batch[i] = weighed[T]{}
			if closed {
				return
			}
		}
		if len(batch) == 0 {
			<-q.wake
		}
	}
}
