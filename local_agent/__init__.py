"""LocalProcess: starts, watches, limits, stops and proves workloads on this machine."""
