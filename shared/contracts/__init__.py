"""The published language: what every service says to the world and to the others."""
