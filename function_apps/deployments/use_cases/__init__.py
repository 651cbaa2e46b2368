"""One function per command or inbound event of deployments: load, decide, commit."""
