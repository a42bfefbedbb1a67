"""The numbers published with the book "Build a Large Language Model (From Scratch)", each beside ours from this run."""
