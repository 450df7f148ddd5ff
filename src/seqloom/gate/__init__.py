"""Decide whether a new version replaces the champion, by rules that compare both on one test set.

This package does not use the model registry.
"""
