"""Who asks, and what they may see and do.

In reading order: `principal.py` (who asks), `tokens.py` (signs and checks tokens), `revocation.py` (rights that end
before their time), `access.py` (maps a request to a scope), `permissions.py` (the table of roles, as an operator
changes it), `audit.py` (notes who did what).
"""
