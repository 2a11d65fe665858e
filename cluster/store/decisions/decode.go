package decisions

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// reader makes entries of lines again. What was one thing is one thing again.
type reader struct {
	last  int64
	plans map[uint64]*model.StagePlan
	infos map[uint64]*v1.NodeInfo
}

func (r *reader) entry(l *line) (Entry, error) {
	r.last += l.After
	message, err := r.message(l)
	return Entry{Kind: l.Kind, At: time.Unix(0, r.last), From: l.From, To: l.To, Message: message}, err
}

func (r *reader) message(l *line) (any, error) {
	f := l.Message
	if f == nil {
		if m := plain(l.Name); m != nil {
			return m, nil
		}
		return Named(l.Name), nil
	}
	switch {
	case f.Started != nil:
		return *f.Started, nil
	case f.ViewsComing != nil:
		return f.ViewsComing, nil
	case f.NodesAwaited != nil:
		return f.NodesAwaited, nil
	case f.Demand != nil:
		return r.demand(f.Demand)
	case f.QueueReset != nil:
		return f.QueueReset, nil
	case f.QueueShare != nil:
		return &msg.QueueShare{Queue: f.QueueShare.Queue, Plan: f.QueueShare.Plan}, nil
	case f.NodeView != nil:
		return r.view(f.NodeView)
	case f.Reserved != nil:
		return f.Reserved, nil
	case f.Freed != nil:
		return f.Freed, nil
	case f.GetLedger != nil:
		m := &v1.LedgerRequest{}
		return &msg.GetLedger{Request: m}, proto.Unmarshal(f.GetLedger.Data, m)
	case f.Back != nil:
		return r.back(f.Back)
	}
	return sent(f)
}

// sent are the messages that the placer sends, and its notes.
func sent(f *form) (any, error) {
	switch {
	case f.ViewRequest != nil:
		return f.ViewRequest, nil
	case f.Reserve != nil:
		return f.Reserve, nil
	case f.Evict != nil:
		return f.Evict, nil
	case f.Use != nil:
		return f.Use.decode()
	case f.Ledger != nil:
		m := &v1.LedgerReply{}
		return m, proto.Unmarshal(f.Ledger.Data, m)
	case f.Kept != nil:
		return f.Kept, nil
	}
	return f.Gap, nil
}

func (r *reader) demand(f *demandForm) (any, error) {
	m := f.Demand
	if f.Plan != nil {
		if r.plans == nil {
			r.plans = map[uint64]*model.StagePlan{}
		}
		r.plans[f.Number] = f.Plan
	}
	if m.Plan = r.plans[f.Number]; m.Plan == nil && f.Number != 0 {
		return nil, fmt.Errorf("decisions: a demand of stage %s names a plan that is not there", m.Stage)
	}
	return &m, nil
}

func (r *reader) view(f *viewForm) (any, error) {
	m := f.View
	if f.Info != nil {
		if r.infos == nil {
			r.infos = map[uint64]*v1.NodeInfo{}
		}
		info := &v1.NodeInfo{}
		if err := proto.Unmarshal(f.Info.Data, info); err != nil {
			return nil, fmt.Errorf("decisions: info of node %s: %w", m.Node, err)
		}
		r.infos[f.Number] = info
	}
	if m.Info = r.infos[f.Number]; m.Info == nil && f.Number != 0 {
		return nil, fmt.Errorf("decisions: a view of node %s names an info that is not there", m.Node)
	}
	return &m, nil
}

func (r *reader) back(f *backForm) (any, error) {
	inner, err := r.message(f.Message)
	if f.Lost {
		return &kit.Lost{Message: inner}, err
	}
	return &kit.Busy{Message: inner}, err
}

func (f *useForm) decode() (any, error) {
	use := &msg.QueueUse{}
	for i, to := range []**v1.Amounts{&use.Used, &use.Waiting, &use.Lent, &use.Borrowed, &use.Allowed} {
		if len(f.Amounts[i]) == 0 {
			continue
		}
		*to = &v1.Amounts{}
		if err := proto.Unmarshal(f.Amounts[i][1:], *to); err != nil {
			return nil, fmt.Errorf("decisions: use of queue %s: %w", f.Name, err)
		}
	}
	return &msg.ToQueue{Name: f.Name, Message: use}, nil
}
