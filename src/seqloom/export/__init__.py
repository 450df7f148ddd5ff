"""Export a Transformer to CTranslate2, prove that the export is equal, and search with it."""
