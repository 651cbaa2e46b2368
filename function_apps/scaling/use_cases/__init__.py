"""One function per command, inbound event, timer or read of scaling: load, decide, commit."""
