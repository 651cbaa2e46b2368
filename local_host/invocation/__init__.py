"""One invocation of a function: context, timeout, retries."""
