"""Plans, makes, records and deletes the infrastructure of environments."""
