"""The domain of environments: pure values and decisions, from a request to what happens."""
