"""Route table, authentication, scope, problem details, operations, OpenAPI: once for all nine."""
