"""The infrastructure of an environment: what it should be, what is recorded, and the way there."""
