"""Numbers on a grid: formats, rounding, encoding, accumulation. Exact, and without state."""
