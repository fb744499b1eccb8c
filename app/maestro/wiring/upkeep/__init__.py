"""upkeep owns the tending of an installation: what is wrong with it, what can be mended, what may be thrown away."""
