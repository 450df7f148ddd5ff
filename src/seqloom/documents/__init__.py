"""Translates whole documents: everything outside their texts stays, and nothing is written that would break them.

`translate_document` is the core: bytes in, bytes and a report out, with any function that translates texts. It uses no
file system. `journal` and `runs` add files for the command line.
"""
