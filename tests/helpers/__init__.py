"""What several test folders share. Found through pytest's `pythonpath = ["tests"]`."""
