"""Sends the curves, samples and system metrics of training runs to MLflow, during training or later."""
