"""The commands of `runtimectl`, grouped by resource."""
