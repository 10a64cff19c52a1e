"""What is asked of this machine, and what is done to it and undone; no BCC, no experiment."""
