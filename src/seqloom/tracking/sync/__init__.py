"""Sends what a training writes to MLflow while it goes on."""
