"""Where workloads run as pods of an AKS cluster, or of any Kubernetes that a kubeconfig names."""
