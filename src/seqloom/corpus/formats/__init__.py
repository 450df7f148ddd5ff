"""How corpora are written: each module reads one format into raw pairs, as they stand in the file."""
