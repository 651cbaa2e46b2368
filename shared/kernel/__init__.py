"""Clock, entropy, ids, scope and errors: no Azure, no I/O."""
