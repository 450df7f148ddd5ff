"""Sources of corpora: each module fetches one kind of source into a folder, verified by sha256."""
