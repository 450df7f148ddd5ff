"""Everything that uses MLflow: the store, runs, the model registry, and sending curves during training."""
