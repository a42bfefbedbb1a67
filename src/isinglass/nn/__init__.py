"""The parts of a transformer: modules that see tensors and never a string."""
