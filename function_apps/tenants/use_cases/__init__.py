"""One function per command, inbound event, timer or read of tenants: load, decide, commit."""
