"""What the launcher does to hold a workload: namespaces, files, ports, its whole process tree."""
