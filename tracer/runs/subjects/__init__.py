"""Whose sockets are watched: a file for each kind, which all have the same verbs."""
