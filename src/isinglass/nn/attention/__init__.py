"""Attention in independent parts: heads (`layer`), position, mask, kernel and cache."""
