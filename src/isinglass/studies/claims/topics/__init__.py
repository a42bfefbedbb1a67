"""One file per topic of the notes; a file defines `claims() -> list[Claim]`."""
