"""Runs in MLflow: what is logged of a training or a trial, and how MLflow's page shows it."""
