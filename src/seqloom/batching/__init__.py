"""Token stores on disk, and the batches read from them. Works on ids only; does not import tokenizers or models."""
