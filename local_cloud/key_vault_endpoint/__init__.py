"""Serves an embedded vault to SDKs that speak Key Vault's REST protocol."""
