"""The nine services, one package each; none imports another."""
