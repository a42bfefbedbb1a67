"""Records: texts from files to batches."""
