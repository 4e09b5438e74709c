"""Who may ask: `tokens` (bearer and basic) and `tls` (certificates of the server and its clients)."""
