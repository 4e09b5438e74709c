"""What a pinned collection looks like, and what a schema says about its space.

Import from here: `spec` (CollectionSpec), `pin` (read_pins, check_pin), `plan` (plan), `check` (check all). All are
pure but `served`, which asks the encoder servers behind the pins.
"""
