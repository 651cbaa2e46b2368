"""Deploys, promotes and rolls back workloads."""
