"""`runtimectl`, the command line of the platform; a client of the REST API."""
