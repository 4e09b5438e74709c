"""Export: from a checkpoint to an artifact, with the proof that nothing changed on the way. Needs the extra `train`.

The room has the name of the function `samespace.export`, and can be called as it: see `samespace.api.commands`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        return import_module("samespace.api.commands").export(*args, **options)


sys.modules[__name__].__class__ = _Room
