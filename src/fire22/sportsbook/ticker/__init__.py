"""What is published as it happens: `wagers.py`, `activity.py` (what people do, in words), and `notifications.py` (what
concerns one person).
"""
