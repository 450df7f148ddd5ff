"""The command line. Each command is a module that reads arguments, calls other packages and prints text."""
