"""HTTP probes of workloads, guarded against being sent elsewhere."""
