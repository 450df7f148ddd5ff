"""Whether texts differ from those that a model was trained on."""
