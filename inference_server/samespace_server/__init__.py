"""The samespace server: artifacts in, gRPC and HTTP out. `app` puts it together; `samespace serve` runs it."""
