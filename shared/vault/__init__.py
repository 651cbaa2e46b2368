"""The SecretVault port and its adapter for Key Vault."""
