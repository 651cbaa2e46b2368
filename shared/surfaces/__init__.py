"""The compute surfaces that workloads run on: ports and adapters."""
