"""Tasks: from a text to an answer, over any model that is trained or loaded here; one file for each."""
