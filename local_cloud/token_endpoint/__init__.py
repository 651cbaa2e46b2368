"""Gives managed identities tokens on one machine, as App Service does."""
