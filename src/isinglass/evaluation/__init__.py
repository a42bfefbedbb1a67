"""Measuring what models do: how fast, and how well each way to decode."""
