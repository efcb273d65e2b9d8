"""The desk: commands that act on the book, checked, once for each key, in one transaction of the book.

Nothing here says an event or touches a figure: a command writes the book's tables as the book's own program would, and
the events come from the triggers.
"""
