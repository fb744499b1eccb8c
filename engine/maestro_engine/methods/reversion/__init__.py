"""Methods that bet on a return: entries where a price comes back from an extreme."""
