"""Clock, entropy, ids, context, operations and errors: no Azure, no I/O."""
