"""One function per command, inbound event or read of tenants: load, decide, commit."""
