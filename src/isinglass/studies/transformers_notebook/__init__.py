"""What the notebook `transformers` needs beside the package: older language models, the notes' layers, their claims."""
