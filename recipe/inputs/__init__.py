"""Documents and articles -> token ids: tokenizers, blocks, masks, windows."""
