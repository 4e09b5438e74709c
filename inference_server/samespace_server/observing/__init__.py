"""What a server tells about itself: metrics (`telemetry`), log lines (`logs`), traces (`tracing`).

`observe` sees each request from its beginning to its end and tells all three. Texts never reach this room's output.
"""
