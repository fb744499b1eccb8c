"""Simulated markets: seeded generators with a known amount of edge."""
