"""What an app does as traces and figures, recorded only where a setting asks for it."""
