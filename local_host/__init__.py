"""The embedded Azure Functions host: runs any Python v2 app folder in one process."""
