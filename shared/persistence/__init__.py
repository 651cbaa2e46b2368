"""The Store, Table and Blob ports and their adapters: SQLite and folder, Cosmos."""
