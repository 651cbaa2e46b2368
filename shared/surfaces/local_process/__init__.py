"""Workloads as processes of this machine, behind one Envoy per environment."""
