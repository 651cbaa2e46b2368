"""One module per command, inbound event or timer of drift, and the reads."""
