"""The command line. Thin: a module per command reads arguments, calls rooms and writes text."""
