"""The engine: step, validate, checkpoint, stop. It reports; it knows nothing of DVC, Prefect, MLflow or text."""
