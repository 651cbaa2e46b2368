"""The Store, Table and Blob ports, the codec of documents, and the adapter for Cosmos DB."""
