"""The port to the engine that plans, makes and deletes the infrastructure of environments."""
