"""DeploymentService: every change of a running workload, whole or turned back."""
