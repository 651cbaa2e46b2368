"""Every service, one package each; none imports another."""
