"""What runs in the sender's and the receiver's process: light to start, so nothing of tracer is imported here."""
