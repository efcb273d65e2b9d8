"""Who asks, and what they may see and do.

In reading order: `principal.py` (who asks), `tokens.py` (signs and checks tokens), `signature.py` (how one is read),
`keys.py` (what signatures are checked with), `ring.py` (which keys are good now), `key_files.py` and `jwks.py` (where
they come from), `fetching.py` (by HTTP), `keychain.py` (all of that together), `machines.py` (tokens with a name and a
purpose), `revocation.py` (rights that end before their time), `passwords.py`, `throttle.py` (slows guessing down),
`users.py`, `sessions.py`, `people.py` (signs people in), `provider.py` (another one that does), `oidc.py` (how),
`access.py` (maps a request to a scope), `permissions.py` (the table of roles, as an operator changes it), `audit.py`
(notes who did what), `leaving.py` and `pending.py` (the same for commands of the program), `settings.py` (notes which
settings have changed), `heads.py` (signs how many notes there are and their hash).
"""
