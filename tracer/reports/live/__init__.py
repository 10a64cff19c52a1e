"""A recording while it is made: a screen that is drawn once a second, or a line."""
