"""measuring owns how a figure comes about: samples, workers, processes, and the table they end in."""
