"""bitunix owns the Bitunix perpetual futures client."""
