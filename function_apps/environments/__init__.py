"""RuntimeEnvironmentService: the infrastructure of runtime environments, and its only writer."""
