"""exchange owns the double of an exchange: Binance's WebSocket and REST on loopback, with faults on request."""
