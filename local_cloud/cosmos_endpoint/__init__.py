"""The embedded store over the Cosmos DB REST protocol, for the official SDKs."""
