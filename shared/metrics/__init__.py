"""Measurements of workloads, from wherever they are: the Metrics port and its adapters."""
