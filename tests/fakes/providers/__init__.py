"""A hosted encoder on loopback, in the wire formats of the providers."""
