"""What the Makefile runs: packaging of the apps."""
