"""Static word vectors: one vector for each word, learned from which words stand near which."""
