"""HTML documents and tables for the pages that seqloom writes. A page is a single file that loads nothing."""
