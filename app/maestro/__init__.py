"""Control, store, wiring and the surfaces that people and programs meet."""
