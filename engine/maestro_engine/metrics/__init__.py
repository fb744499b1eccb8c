"""Figures and scores from the kernel's sums, and the event lines of a test."""
