"""A simulated exchange and the client's own view of its orders."""
