"""The wire: a typed client, the error table, and the generated stubs. The server side is `samespace_server`."""
