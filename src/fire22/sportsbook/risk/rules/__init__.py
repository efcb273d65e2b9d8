"""Every rule of the book, one file each. A file that is put here is found; its rule has the file's name."""

import importlib
import pkgutil
from typing import Final

from fire22.sportsbook.risk.base import Rule


def _found() -> tuple[type[Rule], ...]:
    """The rules, in the order of their files' names: the order in which they see each fact."""
    rules: list[type[Rule]] = []
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        module = importlib.import_module(f"{__name__}.{name}")
        own = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
        defined = [one for one in own if issubclass(one, Rule)]
        if len(defined) != 1 or defined[0].name != name:
            raise AssertionError(f"{module.__name__} must define one rule, named as its file is")
        rules += defined
    return tuple(rules)


RULES: Final = _found()
