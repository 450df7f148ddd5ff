"""Checks for updates of sources, without fetching corpora or changing settings."""
