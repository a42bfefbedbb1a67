"""Tables and figures that show themselves in a terminal, a notebook, a web page and as files. No torch here."""
