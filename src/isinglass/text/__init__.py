"""Strings and ids: tokenizers, the files they are stored in, and chat templates. Nothing here knows of tensors or models.

`load.tokenizer` finds one by name or path; `tokenizer.Tokenizer` is what it returns.
"""
