"""The policy for prod: what its operator allows, decided before a change is committed."""
