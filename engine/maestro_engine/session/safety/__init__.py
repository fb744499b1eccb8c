"""safety owns what keeps a session from harm: one at a time, state that survives, a watchdog, remote commands."""
