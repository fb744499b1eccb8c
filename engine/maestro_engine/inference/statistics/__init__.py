"""statistics owns the statistics that keep a search from fooling its owner: pure functions over arrays."""
