"""Indicators: pure functions of columns, compiled, each value depending on no later bar."""
