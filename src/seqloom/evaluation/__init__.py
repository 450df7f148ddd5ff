"""Scores, their uncertainty, and the report: text in, numbers and pictures out. Knows no model."""
