"""What stands in for Azure's data plane on one machine: broker, stores, tables, blobs."""
