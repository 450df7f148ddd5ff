"""The connection to MLflow: the library, the store and its server, the data of a run, and names of tags."""
