"""How vocabularies are learned from counted words: pairs that are joined, and pieces that are weighed."""
