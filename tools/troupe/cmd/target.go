package cmd

import (
	"context"
	"strconv"
	"strings"
)

// target is what a user names of a job: NAME, NAME/STAGE or NAME/STAGE/INDEX.
type target struct {
	job, stage string
	index      uint64
	hasIndex   bool
}

func parseTarget(s string) (target, error) {
	parts := strings.Split(s, "/")
	t := target{job: parts[0]}
	bad := usagef("%q names no part of a job; right would be NAME, NAME/STAGE or NAME/STAGE/INDEX (the queue is named by -q)", s)
	if t.job == "" || len(parts) > 3 {
		return t, bad
	}
	if len(parts) > 1 {
		if t.stage = parts[1]; t.stage == "" {
			return t, bad
		}
	}
	if len(parts) > 2 {
		index, err := strconv.ParseUint(parts[2], 10, 64)
		if err != nil {
			return t, usagef("%q is no index of an instance; right would be a number from 0 on, as in %s/%s/0", parts[2], t.job, t.stage)
		}
		t.index, t.hasIndex = index, true
	}
	return t, nil
}

// bounded asks one question with the deadline of an answer.
func bounded[A any](ctx context.Context, a *App, question func(context.Context) (A, error)) (A, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return question(ctx)
}

// String is the target as a user names it.
func (t target) String() string {
	switch {
	case t.stage == "":
		return t.job
	case !t.hasIndex:
		return t.job + "/" + t.stage
	}
	return t.job + "/" + t.stage + "/" + strconv.FormatUint(t.index, 10)
}
