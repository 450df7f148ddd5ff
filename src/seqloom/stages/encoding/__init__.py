"""The encoding of train_tokenizer: pairs of texts to pairs of token ids, in one process or over shards."""
