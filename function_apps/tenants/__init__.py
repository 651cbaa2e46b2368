"""TenantRuntimeIsolationService: which tenants may use an environment, each apart from others."""
