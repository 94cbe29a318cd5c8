"""Score pools with exported graphs. Loads no torch."""
