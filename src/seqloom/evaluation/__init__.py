"""Scores with confidence intervals, significance tests and the report. This package uses only texts, no model."""
