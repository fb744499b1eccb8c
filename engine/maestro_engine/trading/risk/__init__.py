"""What may be ordered at all: hard limits, circuit breakers, the kill switch."""
