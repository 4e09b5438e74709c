"""Commands that make, check and compare artifacts: they parse, call one function and print."""
