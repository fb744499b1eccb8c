"""Money and positions, exact to the last digit: lots, margin, funding, equity."""
