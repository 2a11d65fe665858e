package cmd

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"google.golang.org/protobuf/proto"
)

// queueFlags is what can be set of a queue, as it is written.
type queueFlags struct {
	spec       v1.QueueSpec
	quota, max []string
	score      []string
}

func newQueueSetCommand(app *App) *cobra.Command {
	f := &queueFlags{}
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Make a queue, or change what is named of it",
		Long: `Make a queue, or change what is named of it: everything else stays as it is.

--quota is what the queue is sure to get; what it does not use is lent to others, and taken back when it wants it. --max is
the most that its jobs hold, borrowed or not. Amounts are cpu, memory, disk, net, custom units and kinds of devices, the
latter in thousandths: gpu=4000 is four GPUs. --quota none (and likewise --max, --score) removes it.`,
		Example: example("troupe queue set analytics", "troupe queue set analytics --max-slots 64", `troupe queue set analytics --description "nightly reports"`,
			"troupe queue set ml --quota cpu=8,memory=16Gi,gpu=4000 --max cpu=32 --order shortest --score fragmentation",
			"troupe queue set web --score hybrid,packages=50,mix=0 --backfill none", "troupe queue set ml --quota none"),
		Args:              names("the NAME of a queue"),
		ValidArgsFunction: app.completeQueueArg,
	}
	flags := c.Flags()
	flags.Int64Var(&f.spec.MaxJobs, "max-jobs", 0, "most live jobs; 0 means the cell's limit")
	flags.Int64Var(&f.spec.MaxSlots, "max-slots", 0, "most slots that its jobs hold together; 0 means no limit")
	flags.StringVar(&f.spec.Description, "description", "", "free text shown in lists")
	flags.StringSliceVar(&f.quota, "quota", nil, "what it is sure to get: `NAME=AMOUNT,...`, or none")
	flags.StringSliceVar(&f.max, "max", nil, "most that its jobs hold: `NAME=AMOUNT,...`, or none")
	flags.StringVar(&f.spec.Order, "order", "", "order of waiting work of one priority: fair, fifo, shortest, smallest or slowdown")
	flags.StringVar(&f.spec.Backfill, "backfill", "", "what may go ahead of work that waits for room: easy, shortest or none")
	flags.StringVar(&f.spec.Predict, "predict", "", "how it is foreseen how long work runs: learned, recent or stated")
	flags.StringSliceVar(&f.score, "score", nil, "how nodes are chosen: `NAME,MODIFIER=WEIGHT,...`, or none")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return ask(app, func(ctx context.Context, cell Cell, args []string) (*v1.QueueStatus, error) {
			wanted := &v1.QueueSpec{Name: args[0]}
			if old, err := cell.QueueStatus(ctx, &v1.QueueRef{Name: args[0]}); err == nil && old.GetSpec() != nil {
				wanted = proto.CloneOf(old.GetSpec())
			} else if !absent(err) {
				return nil, err
			}
			if err := f.change(wanted, flags.Changed); err != nil {
				return nil, err
			}
			return cell.SetQueue(ctx, wanted)
		}, oneQueue)(cmd, args)
	}
	return c
}

// change writes the flags that were given into q.
func (f *queueFlags) change(q *v1.QueueSpec, given func(flag string) bool) (err error) {
	if given("max-jobs") {
		q.MaxJobs = f.spec.GetMaxJobs()
	}
	if given("max-slots") {
		q.MaxSlots = f.spec.GetMaxSlots()
	}
	if given("description") {
		q.Description = f.spec.GetDescription()
	}
	if given("order") {
		q.Order = f.spec.GetOrder()
	}
	if given("backfill") {
		q.Backfill = f.spec.GetBackfill()
	}
	if given("predict") {
		q.Predict = f.spec.GetPredict()
	}
	if given("quota") {
		if q.Quota, err = parseQuota("--quota", f.quota); err != nil {
			return err
		}
	}
	if given("max") {
		if q.Max, err = parseQuota("--max", f.max); err != nil {
			return err
		}
	}
	if given("score") {
		q.Score, err = parseScore(f.score)
	}
	return err
}

// none reports whether a flag was given to remove what it sets.
func none(parts []string) bool {
	return len(parts) == 0 || len(parts) == 1 && (parts[0] == "none" || parts[0] == "")
}

// parseQuota reads cpu=8,memory=16Gi,gpu=4000; nil for none. What the amounts may be the cell says.
func parseQuota(flag string, parts []string) (*v1.Quota, error) {
	if none(parts) {
		return nil, nil
	}
	q := &v1.Quota{}
	plain := map[string]*string{"cpu": &q.Cpu, "memory": &q.Memory, "disk": &q.Disk, "net": &q.Net}
	for _, part := range parts {
		name, amount, ok := strings.Cut(part, "=")
		if !ok || name == "" || amount == "" {
			return nil, usagef("%s has %q; right would be NAME=AMOUNT, such as cpu=8", flag, part)
		}
		if text := plain[name]; text != nil {
			*text = amount
			continue
		}
		n, err := strconv.ParseInt(amount, 10, 64)
		if err != nil {
			hint := "a whole number of units (devices count in thousandths)"
			if near := model.Nearest(name, model.ResourceNames[:]); near != "" {
				hint = near + "=" + amount
			}
			return nil, usagef("%s has %q; right would be %s", flag, part, hint)
		}
		if q.Custom == nil {
			q.Custom = map[string]int64{}
		}
		q.Custom[name] = n
	}
	return q, nil
}

// parseScore reads hybrid,packages=50,mix=0; nil for none.
func parseScore(parts []string) (*v1.Score, error) {
	if none(parts) {
		return nil, nil
	}
	s := &v1.Score{}
	for _, part := range parts {
		name, weight, weighted := strings.Cut(part, "=")
		n, err := strconv.ParseInt(weight, 10, 32)
		switch {
		case !weighted && s.By == "":
			s.By = name
		case !weighted || err != nil:
			return nil, usagef("--score has %q; right would be one score and weights, such as hybrid,packages=50 (scores: %s; weights: %s)", part,
				strings.Join(model.ScoreNames(), ", "), strings.Join(model.ModifierNames(), ", "))
		default:
			if s.Weights == nil {
				s.Weights = map[string]int32{}
			}
			s.Weights[name] = int32(n)
		}
	}
	return s, nil
}
