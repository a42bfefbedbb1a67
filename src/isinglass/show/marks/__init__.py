"""The kinds of picture: each file turns plain data into one `Showable`."""
