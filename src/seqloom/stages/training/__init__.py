"""Parts of train_model: identity of a run, inputs, starting point, checks, validation, processes and outputs."""
