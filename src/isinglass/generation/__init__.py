"""From a model and a prompt to text: loading, decoding strategies, the loop."""
