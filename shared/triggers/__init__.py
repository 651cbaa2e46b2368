"""Binds the tables of a service to the triggers of Azure Functions."""
