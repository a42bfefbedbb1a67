"""One file per form in which prices are published; each has `read(...) -> dict[str, Price]`."""
