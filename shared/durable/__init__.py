"""Orchestrations as plain generators, and how they are bound to a Durable host."""
