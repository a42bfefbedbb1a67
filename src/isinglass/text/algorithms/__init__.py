"""How one pretoken becomes ids: byte pair encoding, WordPiece, Unigram."""
