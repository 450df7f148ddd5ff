"""prepare_corpus as maps over chunks and over ranges of keys: see `seqloom.corpus.prepare`."""
