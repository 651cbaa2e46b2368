"""Route table, authentication, scope, problem details, operations, OpenAPI: for every service."""
