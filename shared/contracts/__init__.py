"""The published language: what the nine services say to the world and to each other."""
