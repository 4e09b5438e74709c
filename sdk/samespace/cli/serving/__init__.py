"""Commands that run encoders: serve, spaces, health, embed. They parse, call one function and print."""
