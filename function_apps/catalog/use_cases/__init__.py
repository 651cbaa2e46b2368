"""One function per inbound event, command, timer or read of catalog: load, decide, commit."""
