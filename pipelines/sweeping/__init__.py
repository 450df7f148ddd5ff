"""The parts of the flow `sweep`: the space, the study, the clone in which trials train, and their records."""
