"""Finding passages that answer a question, and answering from them."""
