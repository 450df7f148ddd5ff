"""What the flow `sweep` is made of: the space, the study, the clone in which trials train, and the word of each."""
