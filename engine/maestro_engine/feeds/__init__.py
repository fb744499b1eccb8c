"""feeds owns market data that arrives: real clients, replay, recorder, simulator and the exchange's double."""
