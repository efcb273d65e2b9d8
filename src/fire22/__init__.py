"""Fire22 Flows: a real-time back office for a sportsbook, and the streaming server under it."""

__version__ = "0.1.0"
