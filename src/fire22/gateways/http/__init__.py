"""HTTP: `application.py` (what uvicorn serves), `protocol.py` (how long a request may take to arrive),
`archive.py` (closed periods as JSON and CSV)."""
