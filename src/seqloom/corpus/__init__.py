"""Sentence pairs: fetching corpora, and reading, cleaning and splitting them. Independent of tokens and models."""
