package placer

// Reminders are the messages that the actor sends to itself, at once or by a timer. They say nothing but their name; whoever
// plays the actor again from a recording knows them by the name of their type.
func Reminders() []any {
	return []any{grant{}, patienceOver{}, viewsOver{}, sweep{}, reservationDue{}, usesDue{}, askAgain{}}
}
