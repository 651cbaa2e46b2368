"""Stands in for Azure's data plane on one machine: broker, Cosmos account, tables, blobs."""
