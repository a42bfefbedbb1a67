"""The tour: one real model from end to end, as a story for the terminal and a report to open."""
