"""Passwords of the servers that keep data: set, tested, retired where they are checked."""
