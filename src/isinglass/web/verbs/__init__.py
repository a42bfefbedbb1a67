"""What the pages ask for, one file each."""
