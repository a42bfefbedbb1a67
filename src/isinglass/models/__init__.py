"""Whole models: the decoder, presets of known families, weights in and out."""
