"""One file per topic of the book; a file defines `numbers() -> list[Number]`."""
