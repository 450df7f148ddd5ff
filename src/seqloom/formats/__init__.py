"""One module per file format: it reads a file's texts and writes translations back in their place.

A reader turns a file into pieces (`pieces.Piece`) whose `raw` strings, joined, are the file again. To write
translations, every piece is copied except the translated ones. This package handles one file at a time;
`seqloom.corpus` decides which files form a corpus and which of their pairs count.
"""
