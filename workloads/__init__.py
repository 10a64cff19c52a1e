"""What sends and receives: two processes, and the engine that runs in them. Light to import: every worker does."""
