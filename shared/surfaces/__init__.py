"""Where workloads run: what deployments may change there, what everyone may read, adapters."""
