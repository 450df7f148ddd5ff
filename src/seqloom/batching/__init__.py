"""Token ids on disk and the order in which they become batches. Knows nothing of text or models."""
