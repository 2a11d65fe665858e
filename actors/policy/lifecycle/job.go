// Package lifecycle holds the state machines of jobs, instances and nodes as tables. A move that is not in the table
// does not exist: Next refuses it, and the caller keeps the phase that it had.
package lifecycle

// JobPhase is where a job stands. The zero value is no job.
type JobPhase uint8

// The phases of a job.
const (
	JobNone      JobPhase = iota
	JobPending            // admitted, nothing granted yet
	JobRunning            // has or had slots
	JobStopping           // a stop was asked for; attempts are being ended
	JobSucceeded          // every instance is done
	JobFailed             // an instance is dead, or the time limit has passed
	JobStopped            // stopped on request
	jobPhases
)

// JobEvent moves a job.
type JobEvent uint8

// The events of a job.
const (
	JobSubmit   JobEvent = iota // it was admitted, durably
	JobSchedule                 // a slot was granted
	JobUpdate                   // its spec was changed
	JobStop                     // a stop was asked for, durably
	JobFinish                   // every instance is done
	JobFail                     // it cannot succeed any more
	JobHalt                     // it was stopping, and nothing of it runs any more
	jobEvents
)

// jobMoves is the whole machine. A job can finish or fail while it is pending: after a restart of its actor it is
// pending until it knows its slots, and progress from before may be all there was to do. A job that finished before
// the stop reached it has succeeded; one that fails while it stops was stopped.
var jobMoves = [jobPhases][jobEvents]JobPhase{
	JobNone: {JobSubmit: JobPending},
	JobPending: {
		JobSchedule: JobRunning, JobUpdate: JobPending, JobStop: JobStopping, JobFinish: JobSucceeded, JobFail: JobFailed,
	},
	JobRunning: {
		JobSchedule: JobRunning, JobUpdate: JobRunning, JobStop: JobStopping, JobFinish: JobSucceeded, JobFail: JobFailed,
	},
	JobStopping: {JobStop: JobStopping, JobFinish: JobSucceeded, JobHalt: JobStopped},
}

// Next is the phase after e, and whether e is possible in p at all; if not, the phase stays p.
func (p JobPhase) Next(e JobEvent) (JobPhase, bool) {
	if p >= jobPhases || e >= jobEvents || jobMoves[p][e] == JobNone {
		return p, false
	}
	return jobMoves[p][e], true
}

// Terminal reports whether the job has ended; nothing moves it any more.
func (p JobPhase) Terminal() bool { return p == JobSucceeded || p == JobFailed || p == JobStopped }

var jobPhaseNames = [jobPhases]string{"none", "pending", "running", "stopping", "succeeded", "failed", "stopped"}

// String is the phase as the API and the journal spell it.
func (p JobPhase) String() string { return nameOf(jobPhaseNames[:], int(p)) }

// ParseJobPhase reads what String writes.
func ParseJobPhase(s string) (JobPhase, bool) {
	i, ok := indexOf(jobPhaseNames[:], s)
	return JobPhase(i), ok
}

var jobEventNames = [jobEvents]string{"submit", "schedule", "update", "stop", "finish", "fail", "halt"}

// String is the name of the event.
func (e JobEvent) String() string { return nameOf(jobEventNames[:], int(e)) }

func nameOf(names []string, i int) string {
	if i >= len(names) {
		return "invalid"
	}
	return names[i]
}

func indexOf(names []string, s string) (int, bool) {
	for i, n := range names {
		if n == s {
			return i, true
		}
	}
	return 0, false
}
