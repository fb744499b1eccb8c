"""The trading engine: data in, trades and scores out; knows only the ground floor."""
