"""HTTP probes of workloads, with a guard against server-side request forgery."""
