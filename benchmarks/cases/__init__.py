"""cases owns what is measured: one module each, found by being here."""
