"""The embedded Durable Functions engine: the extension's algorithm over the official library."""
