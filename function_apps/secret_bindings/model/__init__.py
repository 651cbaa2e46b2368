"""Decisions of secret_bindings: pure."""
