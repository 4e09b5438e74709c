"""What a key may do: `roles` with the least rights for Weaviate's RBAC, and `needed`, what a command asks for first.

Import from here: `roles` (ROLES, render_roles) and `needed` (require_rights).
"""
