"""One function per command, inbound event, timer or read of secret_bindings."""
