"""The model registry: versions, the champion, lineage and reproduction, and comparisons of runs and versions."""
