"""HTTP: connections and their limits (`server`, `connection`), routes, dialects of clients, the status page.

Import from here: `server` (HttpServer) and `routes` (what answers a request). Encoding belongs to `scheduling`, spaces
to `spaces`, tokens to `security`.
"""
