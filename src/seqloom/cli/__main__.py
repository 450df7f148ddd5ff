"""Run the command line with `python -m seqloom.cli`."""

from seqloom.cli.main import main

main()
