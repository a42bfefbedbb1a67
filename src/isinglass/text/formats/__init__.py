"""Vocabulary files, one module for each format; each gives a `Tokenizer`."""
