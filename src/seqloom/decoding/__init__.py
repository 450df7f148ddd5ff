"""Search over a next-token function, and text in, text out on top of it."""
