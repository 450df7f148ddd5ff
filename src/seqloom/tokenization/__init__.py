"""Text to token ids and back, behind one contract. Knows nothing of batches or models."""
