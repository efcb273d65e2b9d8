"""Who asks, and what they may see and do.

In reading order: `tokens.py` (signs and checks tokens), `access.py` (maps a request to a scope).
"""
