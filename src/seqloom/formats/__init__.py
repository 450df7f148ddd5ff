"""One module per file format: it reads the texts of a file, and puts translations back where they belong.

A reader turns a file into pieces (`pieces.Piece`). Joining the `raw` of all pieces gives the file again, so writing
translations is copying every piece but those that have a translation. This room knows one file at a time; which files
make up a corpus, and which of their pairs count, is decided in `seqloom.corpus`.
"""
