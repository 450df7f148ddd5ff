"""Token files and the batches made of them. Knows ids and lengths: no text, no tokenizer, no model."""
