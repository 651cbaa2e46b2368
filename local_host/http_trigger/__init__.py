"""The HTTP trigger: server, pipeline, keys, and the paths that are the host's own."""
