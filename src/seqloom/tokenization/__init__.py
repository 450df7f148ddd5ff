"""Text to token ids and back. All tokenizers implement `tokenizer.Tokenizer`; `catalogue` trains and loads them."""
