"""Search over a next-token function, and `Translator`, which maps text to text with it."""
