"""Stands in for Azure on one machine: broker, Cosmos account, tables, blobs, engine."""
