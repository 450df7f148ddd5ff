"""Synthetic training pairs: texts of a corpus, translated by a registered version."""
