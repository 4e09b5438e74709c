"""Hosted encoders as spaces: what a provider gave for the probes, its noise, and an id over both.

Import from here: `pin` (pin_provider, check_provider), `encoder` (ProviderEncoder), `door` (ProviderDoor), `drift`
(ProviderDrifted). The wire formats are in `wire`.
"""
