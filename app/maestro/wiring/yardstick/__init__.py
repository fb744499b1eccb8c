"""Yardstick: searches side by side, with as many backtests each, by what their picks truly earn."""
