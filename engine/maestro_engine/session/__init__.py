"""session owns the unattended paper session: its states, its tasks, what it trades, and the evidence it leaves."""
