"""The HTML pages that seqloom writes: frame, tables and style. A page is one file and loads nothing."""
