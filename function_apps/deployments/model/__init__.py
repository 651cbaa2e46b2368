"""The domain of deployments: pure values and decisions, from target and command to what happens."""
