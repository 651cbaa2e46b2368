"""A Kubernetes cluster on this machine, for laptops and tests."""
