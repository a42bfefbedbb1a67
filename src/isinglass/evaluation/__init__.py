"""Measuring what models do: so far, how fast."""
