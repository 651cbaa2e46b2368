"""The embedded vault: secrets in one encrypted SQLite file per vault."""
