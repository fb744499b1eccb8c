"""trading owns what a session trades: candles in, intents, orders, money; pure of clock and network."""
