"""The timer trigger: schedules, and when each is due."""
