"""Training: updates, validations, checkpoints, resume. Independent of text, DVC, MLflow and Prefect."""
