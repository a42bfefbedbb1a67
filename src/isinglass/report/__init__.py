"""Documents made of text, code with its output, tables and figures, and the writers that save them."""
