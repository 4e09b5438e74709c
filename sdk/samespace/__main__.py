"""`python -m samespace` is the command `samespace`."""

from .cli import main

main()
