"""The connection to MLflow: the library, the store, its server, and the names that are used in it."""
