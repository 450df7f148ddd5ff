"""The only room that knows MLflow: runs, the registry, the model that it serves."""
