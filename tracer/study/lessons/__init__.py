"""The lessons of nettrace explain: one file each; what is asked, what is run, and what the measurement answers."""
