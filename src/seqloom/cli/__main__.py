"""`python -m seqloom.cli` is `seqloom`."""

from seqloom.cli.main import main

main()
