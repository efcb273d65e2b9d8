"""The documents: their pages, and what builds a site of them (`python -m docs`, or `make docs`)."""
