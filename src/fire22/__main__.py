"""`python -m fire22`."""

from fire22.cli import main

main()
