"""Sentence pairs: where they come from, how their files are read, cleaned and split. Knows nothing of tokens."""
