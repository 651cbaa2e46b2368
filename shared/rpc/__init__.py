"""Ports whose implementation is another process of this machine: HTTP on a socket in a folder."""
