"""Logs training runs and the trials of sweeps, with their models, curves, costs and provenance."""
