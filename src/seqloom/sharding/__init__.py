"""A map over shards: one function, applied to many large files by processes, Ray or SLURM, with the same result."""
