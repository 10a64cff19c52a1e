"""What the running kernel has and allows, found out by asking it; never by its version."""
