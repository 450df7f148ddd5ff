"""Translate texts of any length and form with a model that translates sentences."""
