"""watching owns what people may see of a session: how it stands, what happened so far; looking changes nothing."""
