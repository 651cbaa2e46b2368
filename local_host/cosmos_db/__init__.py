"""The Cosmos DB trigger, which follows a change feed, and the `cosmosDB` output."""
