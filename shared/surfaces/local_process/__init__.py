"""The surface of this machine: workloads are processes, behind one Envoy per environment."""
