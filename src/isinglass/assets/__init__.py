"""Vocabularies, weights and corpora: finding them on this machine, fetching them, reading GGUF files. No torch here."""
