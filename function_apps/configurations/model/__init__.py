"""Layers, versions, schemas and adoption: what may be published, and what is in force."""
