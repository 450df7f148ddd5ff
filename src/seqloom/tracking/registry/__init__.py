"""The registered versions: the champion, where a version comes from, and how runs and versions compare."""
