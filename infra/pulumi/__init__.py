"""Pulumi programs: the environments that the platform applies."""
