"""What `benchmarks/load.py` and `benchmarks/peers.py` are made of: texts, dialects, connections, loops, meters."""
