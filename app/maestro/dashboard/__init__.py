"""dashboard owns the surfaces of a session: a live page on this machine, and the same in a terminal."""
