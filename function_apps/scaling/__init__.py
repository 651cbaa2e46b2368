"""RuntimeScalingService: how many instances each service has, and why."""
