"""The embedded infrastructure engine: it makes the declared resources on this machine."""
