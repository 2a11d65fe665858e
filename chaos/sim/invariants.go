package sim

// Invariant is one line of what never breaks, by its number in ARCHITECTURE.md, and what shows it: checks of this world,
// and tests elsewhere for what this world has no part in.
type Invariant struct {
	Number int
	Text   string
	Checks []Check
	// Tests are names of test functions.
	Tests []string
}

// Invariants is the table of all of them. Its test holds the names against the checks and tests that there are.
func Invariants() []Invariant {
	return []Invariant{
		{1, "what was acknowledged is kept", []Check{AckedIsDurable, AckedIsKept, ResultIsTrue, ResultIsKept}, nil},
		{2, "one attempt an instance is valid, and one is accepted", []Check{AcceptedOnce, AcceptedIsValid, FailureIsTrue}, nil},
		{3, "fences and epochs grow", []Check{BegunOnce, FencesGrow, LaunchPersisted, EpochsGrow, EndPersisted}, nil},
		{4, "a deposed leader changes nothing and answers nobody", []Check{EpochObeyed, EpochsGrow, DeposedSilent, LeaderStays}, []string{"TestTrapDeposed_S5_AnotherMasterInTheGap"}},
		{5, "a node holds no more than it has", []Check{CapacityHeld, LedgerFits, PortsUnique, DevicesHeld}, nil},
		{6, "what has ended stays ended", []Check{OneTerminal, PhaseIsFinal}, nil},
		{7, "every live attempt is known", []Check{AttemptsKnown, NothingLeft}, nil},
		{8, "restart equals replay", []Check{RestartIsReplay, SnapshotIsReplay, LiveIsReplay, FollowersAgree}, []string{"TestS5_F30_SnapshotAndTailEqualReplay"}},
		{9, "the replay is total, and refuses what it does not know", []Check{RecordsApply, UnknownRefused}, []string{"TestUnknownEntriesFailLoudly", "TestS5_WhatANewerVersionSaysIsForgotten"}},
		{10, "a damaged journal is found out", []Check{DamageFound}, []string{"TestS5_EveryDamageIsFound", "TestS5_FlippedBitInTheWriteAheadLog"}},
		{11, "amounts add up in all views", []Check{ViewsAgree, AccountsAgree}, nil},
		{12, "quotas hold", []Check{QuotaMax, QuotaFirm, QuotaReturned}, nil},
		{13, "what is withheld ends", []Check{NothingWithheld}, nil},
		{14, "no amount is negative", []Check{NotNegative}, nil},
		{15, "a gang is whole", []Check{GangTogether, GangWhole}, nil},
		{16, "victims are lower, and stages keep what they need", []Check{VictimsLower, NoCycle, MovedAway, DisruptionBound}, nil},
		{17, "inputs are there", []Check{InputsAreTrue}, nil},
		{18, "every end counts once", []Check{CountsAgree, AccountsAgree, EvictionIsNoFailure}, nil},
		{19, "one key makes one job", []Check{OneKeyOneJob}, nil},
		{20, "reads and watches go forward", []Check{ReadsAgree, HistoriesHold, PhaseIsFinal, WatchInOrder}, nil},
		{21, "a stop is a stop", []Check{StopIsStop}, []string{"TestS12_ChildrenDieWithTheAttempt", "TestS12_ReleaseOfAFamily"}},
		{22, "what can end ends", []Check{JobsEnd, EndsAsItMust, ServicesRun, Answered, NothingStuck}, nil},
		{23, "nonsense costs its sender an error", []Check{NoPanic, NothingUnknown}, []string{"TestPoisonIsCountedAndDropped", "TestPoisonousLogRequestsAreRefused"}},
		{24, "what is kept is bounded", []Check{Bounded, NothingLeft}, []string{"TestM3_CommandsAreBoundedAndInOrder", "TestInputsAreBounded"}},
		{25, "bad nodes are avoided, and not for ever", []Check{AvoidanceEnds}, []string{"TestB43_AMassDisappearanceIsIsolation"}},
		{26, "attempts outlive masters and agents", []Check{AttemptsSurvive, RunsOnce}, []string{"TestB46_AgentKilled", "TestB46_ProcessesOutliveTheNode"}},
		{27, "tenants are apart", []Check{TenantsApart}, nil},
	}
}
