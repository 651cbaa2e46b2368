"""What every service shares: the published language, the kernel, ports and their adapters."""
