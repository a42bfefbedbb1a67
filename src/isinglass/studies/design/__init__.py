"""An application of language models, described in a TOML file: what the study `design` computes its document from."""
