"""One function per command or inbound event of environments: load, decide, commit."""
