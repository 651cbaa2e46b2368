"""Drift: where live state differs from what is recorded, who repairs it, and what is let be."""
