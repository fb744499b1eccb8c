"""Exits: how a trade is left, said once for the kernel, the paper venue's bars and the session."""
