"""Cosmos DB's query language: parsed, planned for an SDK, and run over documents."""
