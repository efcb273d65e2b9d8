"""The program's entry point: `fire22`, and `python -m fire22`.

Without the extra `server` the package is the Python client alone: nothing here may need more than the standard
library.
"""

import sys
from collections.abc import Callable

import fire22


def main() -> None:
    """Run the program, or say what it needs to run."""
    try:
        _program()()
    except KeyboardInterrupt:  # also while the program is still being loaded
        raise SystemExit(130) from None


def _program() -> Callable[[], None]:
    try:
        if sys.argv[1:2] == ["backup"]:
            from fire22 import copying

            if copying.run(sys.argv[1:]):
                return lambda: None
        from fire22.cli import main
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "fire22":
            raise
        if sys.argv[1:] == ["--version"]:
            return _print_version
        print(
            f"fire22: The program needs the server's libraries, and {error.name} is missing; this is the Python client "
            "alone.\n        Install them:  pip install 'fire22-flows[server]'",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    return main


def _print_version() -> None:
    print(f"fire22 {fire22.__version__}")


if __name__ == "__main__":
    main()
