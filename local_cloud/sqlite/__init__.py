"""The SQLite database of the local cloud: documents of the Store port, and tables."""
