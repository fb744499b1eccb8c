"""maintenance owns the tending of an installation: findings, repairs and what may be removed."""
