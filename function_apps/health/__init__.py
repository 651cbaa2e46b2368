"""RuntimeHealthService: probes, health with hysteresis, and the verdicts of gates."""
