"""The stops of the tour: one file each, visited by the number in its `ORDER`."""
