"""Vectors of words and texts, and what can be seen in them."""
