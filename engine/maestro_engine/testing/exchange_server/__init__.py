"""exchange_server owns the doubles of Binance and Bitunix: WebSocket and REST on loopback, with faults on request."""
