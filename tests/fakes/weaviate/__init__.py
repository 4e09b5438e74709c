"""Stand-ins for Weaviate, and real ones that tests start."""
