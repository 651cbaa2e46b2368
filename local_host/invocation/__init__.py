"""Runs one invocation of a function: context, timeout, retries."""
