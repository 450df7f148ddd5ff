"""Texts of any length and form through a translator of sentences."""
