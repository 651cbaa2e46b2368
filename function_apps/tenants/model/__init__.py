"""Decisions of tenants: pure."""
