"""What the nine services share: the published language, the kernel, ports and their adapters."""
