"""brains owns what a role thinks with: one file per vendor behind one small Protocol, and what lies around a call."""
