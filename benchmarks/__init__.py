"""One command per figure that the README and docs/RESULTS.md quote: `python -m benchmarks.NAME --help`."""
