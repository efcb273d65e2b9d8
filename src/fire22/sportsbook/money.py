"""Money at the border: integer minor units inside, a JSON number in major units with two decimals outside."""


def major(minor: int) -> float:
    """Major units. The nearest double to n/100 prints with at most two decimals, so nothing is lost on the wire."""
    return minor / 100
