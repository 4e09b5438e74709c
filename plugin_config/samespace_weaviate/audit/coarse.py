"""Coarse builds as witnesses: a vector that only int8 can have written is held against what int8 makes of the text.

The bound of such a build is some 1 - cos 0.02, and an encoder that was fine-tuned from the same base may be as near,
or the vector of a text that changed a little. But a build errs in a direction of its own on each text: what it wrote
is much nearer to what it gives today than the exact vector is, on another runtime too. What anything else wrote is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from samespace.encoder import CompositeEncoder, Encoder, LocalEncoder
from samespace.errors import BuildError
from samespace.runtime.composite import each_build
from samespace.vectors import Float32

from .compare import distance
from .explain import right_rows
from .recipes import InputRecipe
from .tolerance import bounds_of

OWN: Final = 1.2
"""How near a build's own vector is, as a share of what it errs by (1 - cos). On one runtime next to nothing; between
two mostly .3, and up to 1.7 for texts of some words (benchmarks/LOG.md, 2026-12-01), so each runtime is asked. What is
off by as much in a direction of its own is at 2."""
AS_EXPORTED: Final = 1.1
"""A build that errs by more than so many times what it did when it was exported is another one on this machine."""


class CoarseBuilds:
    """The builds of an artifact that err by more than *within* (1 - cos), and more than the one that runs.

    Each is asked on each runtime that it was measured on, and is opened when it is asked first. An encoder that is no
    artifact has none that could be asked.

    Attributes:
        ways: (build, runtime) of each.
        asked: whether any vector was held against them.
    """

    def __init__(self, encoder: Encoder, within: float) -> None:
        self._encoder = encoder
        self.ways: tuple[tuple[str, str], ...] = ()
        self.asked = False
        if isinstance(encoder, LocalEncoder | CompositeEncoder):
            coarse = max(within, bounds_of(encoder)[0].worst)
            artifact = encoder.loaded.artifact
            builds = [build for part in artifact.parts or (artifact,) for build in part.manifest.builds]
            found = {(build.name, each.runtime) for build in builds for each in build.measured if each.allowed > coarse}
            self.ways = tuple(sorted(found))

    @property
    def said(self) -> str:
        """Their names, for people."""
        return " or ".join(dict.fromkeys(name for name, _ in self.ways))

    @property
    def all_run(self) -> bool:
        """Whether all of them can be asked here."""
        return len(self._opened) == len(self.ways)

    @cached_property
    def _opened(self) -> tuple[Encoder, ...]:
        found = []
        for name, runtime in self.ways:
            assert isinstance(self._encoder, LocalEncoder | CompositeEncoder)
            try:
                build = Encoder.load(self._encoder.loaded.artifact, build=name, runtime=runtime)
            except BuildError:
                continue  # it does not run here within its bound, or a part of a composite lacks it: `all_run` tells
            if all(each.worst <= AS_EXPORTED * each.measured.worst for each in each_build(build.loaded)):
                found.append(build)
        return tuple(found)

    def wrote(
        self,
        stored: Sequence[Float32],
        exact: Sequence[Float32],
        texts: Sequence[str],
        recipe: InputRecipe,
        *,
        windows: bool = False,
    ) -> list[bool]:
        """Whether one of them wrote each of the vectors *stored*.

        Args:
            stored, exact: (rows, dim) of each text.
            texts: as *recipe* makes them.
        """
        near = [False] * len(texts)
        self.asked = True
        for build in self._opened:
            left = [index for index, one in enumerate(near) if not one]
            made = right_rows(build, [texts[index] for index in left], recipe, windows=windows)
            for index, (own, _) in zip(left, made, strict=True):
                if own.shape == stored[index].shape == exact[index].shape:
                    near[index] = distance(stored[index], own) <= OWN * distance(exact[index], own)
        return near
