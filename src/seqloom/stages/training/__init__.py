"""What train_model has around the engine: what a run is of, what it validates with, how it is launched and stopped."""
