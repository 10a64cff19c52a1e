"""What is attached to the kernel, counts, and is taken off again; the one room that knows BCC. It judges nothing."""
