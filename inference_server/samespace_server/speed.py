"""How fast this machine runs the model, learnt from its runs. Pure: time comes in as a value.

A run of few tokens costs more a token than one of many, and long inputs more than short ones; so the speed is
kept by size of the run, in powers of two, each as a moving average. A size that was never seen is taken to be
like the nearest one that was: too slow for larger ones, which the first larger run puts right.
"""

from __future__ import annotations

from typing import Final

_SIZES: Final = 32
_KEEP: Final = 7
"""Of eight parts of an average, the newest run is one."""


class Speed:
    """The time that runs take, by their padded tokens."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._us_per_1000: list[int] = [0] * _SIZES  # by size of the run; 0: never seen

    @property
    def known(self) -> bool:
        """Whether any run was seen."""
        return any(self._us_per_1000)

    def observe(self, tokens: int, us: int) -> None:
        """Learn from a run of *tokens*, padding included, that took *us*."""
        size = min(tokens.bit_length(), _SIZES - 1)
        new = max(1, us * 1000 // tokens)
        old = self._us_per_1000[size]
        self._us_per_1000[size] = (_KEEP * old + new) // (_KEEP + 1) if old else new

    def us(self, tokens: int, *, run_tokens: int) -> int:
        """About how long *tokens* take in runs of at most *run_tokens*; 0 while nothing is known."""
        if tokens < 1:
            return 0
        return tokens * self._us_per_1000[self._seen(min(tokens, run_tokens).bit_length())] // 1000

    def tokens(self, us: int) -> int | None:
        """About how many tokens a run of *us* takes, at least 1; None while nothing is known."""
        if not self.known:
            return None
        for size in range(_SIZES - 1, 0, -1):
            fitting = us * 1000 // self._us_per_1000[self._seen(size)]
            if fitting >= 1 << (size - 1):
                return min(fitting, (1 << size) - 1)
        return 1

    def _seen(self, size: int) -> int:
        """The nearest size that was seen, the smaller one of two; *size* itself where none was."""
        for distance in range(_SIZES):
            for near in (size - distance, size + distance):
                if 0 <= near < _SIZES and self._us_per_1000[near]:
                    return near
        return min(size, _SIZES - 1)
