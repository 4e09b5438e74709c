"""Whether the replicas of a collection hold the same: `compare` (pure), `walk` (through every node), `alike` (what a
decision asks first), `reconcile` (brings them together)."""
