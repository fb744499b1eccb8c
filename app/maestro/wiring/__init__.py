"""wiring owns the meeting of the rooms: the only place that knows everyone, and where nothing is decided."""
