"""Configurations: versioned values in three layers, and who runs which version of them."""
