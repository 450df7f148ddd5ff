"""One module per DVC stage: read the settings, call the core, write the outputs."""
