"""From an app's folder, or app object, to the functions that the host runs."""
