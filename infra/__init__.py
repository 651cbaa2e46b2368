"""Infrastructure programs; none of them is imported by an app."""
