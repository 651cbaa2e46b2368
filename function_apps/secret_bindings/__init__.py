"""Binds secrets of vaults to modules, and rotates them to their last consumer."""
