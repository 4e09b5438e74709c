"""How fast each way of running an encoder is on this machine: measured in turns, kept for the next start."""
