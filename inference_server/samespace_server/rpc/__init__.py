"""gRPC: the services of programs (`service`), health (`health`) and administration (`admin`).

The only room that imports grpc. Encoding belongs to `scheduling`, spaces to `spaces`, tokens to `security`.
"""
