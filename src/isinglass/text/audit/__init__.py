"""Audits: one question about tokenizers for each file, answered with tables, figures and a sentence."""
