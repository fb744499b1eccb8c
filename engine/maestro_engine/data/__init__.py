"""Instruments, bars, their readers and checks, and seeded simulators."""
