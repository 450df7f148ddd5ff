"""Where corpora come from: each module fetches one kind of source into a folder, checked against its sha256."""
