"""How fast this machine runs the model, learnt from its runs. Pure: time comes in as a value.

A run of few tokens costs more a token than one of many, long inputs more than short ones, and the first run of a shape
the most, because runtimes prepare kernels for it. So the speed is kept by size of the run, in powers of two. Where
it errs, it errs on the fast side, because people are refused by it: it follows a faster run at once and a slower one
by an eighth, and a size that was never seen is believed to take no longer than it must, by those that were. A single
run that took minutes says that the machine slept, not that it is slow: it counts as a few times slower, no more.

Waits are longer than the speed of the model says: runs are cut into slices, and padding, tokenising, Python and other
processes come beside. Whatever the cause, it shows as the ratio of what was waited to what was estimated, and the next
estimates are multiplied by it (`Promises`).
"""

from __future__ import annotations

from typing import Final

from .batching import WEIGHTS, Lane

_SIZES: Final = 32
_SLOWER: Final = 8
"""A slower run moves the speed by one part in so many."""
_CHEAP: Final = (5, 4)
"""A token may cost so many times of what it does at best."""
_SLOWEST: Final = 4
"""A run counts as at most so many times slower than expected."""

_STEP: Final = 1 / 16
"""How far one wait moves the ratio; a wait that is near the bound is one of a few dozen."""
_MOST: Final = 16.0
_WORTH: Final = 1 / 64
"""Estimates below this share of the longest one teach nothing: a single run outweighs them."""


class Speed:
    """The time that runs take, by their padded tokens."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._ns_per_token: list[int] = [0] * _SIZES  # by size of the run; 0: never seen

    def observe(self, tokens: int, us: int) -> int:
        """Learn from a run of *tokens*, padding included, that took *us*; how much of that the machine slept."""
        size = _size(tokens)
        new, old = max(1, us * 1000 // tokens), self._ns_per_token[size]
        if old == 0:
            self._ns_per_token[size] = new
            return 0
        slower = (min(new, old * _SLOWEST) - old + _SLOWER - 1) // _SLOWER
        self._ns_per_token[size] = (old + new) // 2 if new < old else old + slower
        return max(0, new - old * _SLOWEST) * tokens // 1000

    def run_us(self, tokens: int) -> int:
        """About how long one run of *tokens* takes, rather less than more; 0 while nothing is known."""
        size = _size(tokens)
        if self._ns_per_token[size]:
            return tokens * self._ns_per_token[size] // 1000
        # A run takes at least as long as a smaller one, and a token in it at least as long as in a larger one.
        smaller = next((each for each in range(size - 1, 0, -1) if self._ns_per_token[each]), None)
        larger = next((each for each in range(size + 1, _SIZES) if self._ns_per_token[each]), None)
        at_least = 0 if smaller is None else self._ns_per_token[smaller] << (smaller - 1)
        return max(at_least, 0 if larger is None else tokens * self._ns_per_token[larger]) // 1000

    def us(self, tokens: int, *, run_tokens: int) -> int:
        """About how long *tokens* take in runs of at most *run_tokens*; 0 while nothing is known."""
        runs, rest = divmod(tokens, run_tokens)
        return runs * self.run_us(run_tokens) + (self.run_us(rest) if rest else 0)

    def cheap_tokens(self) -> int:
        """The smallest run whose tokens cost little more than they do at best; 1 while nothing is known.

        Where that is the largest size that was seen, twice of it: larger ones may be cheaper still.
        """
        known = [(size, ns) for size, ns in enumerate(self._ns_per_token) if ns]
        if not known:
            return 1
        least = min(ns for _, ns in known)
        size = next(size for size, ns in known if ns * _CHEAP[1] <= least * _CHEAP[0])
        return 1 << (size if size == known[-1][0] else size - 1)

    def tokens(self, us: int) -> int | None:
        """About how many tokens a run of *us* takes; None while nothing is known.

        At most twice of the largest size that was seen: beyond it, one can only try, and better in small steps.
        """
        largest = next((size for size in range(_SIZES - 1, 0, -1) if self._ns_per_token[size]), None)
        if largest is None:
            return None
        for size in range(min(largest + 1, _SIZES - 1), 0, -1):
            smallest, most = 1 << (size - 1), (1 << size) - 1
            if self.run_us(smallest) <= us:
                ns_per_token = self._ns_per_token[size]
                return min(most, max(smallest, us * 1000 // ns_per_token)) if ns_per_token else smallest
        return 1


def _size(tokens: int) -> int:
    return min(tokens.bit_length(), _SIZES - 1)


class Promises:
    """The ratio of waits to estimates, by lane.

    It never falls below 1: without load there is nothing to learn from, and where the estimate is too high a little
    room stays free.
    """

    def __init__(self, longest_us: int) -> None:
        """Nothing is learnt yet; *longest_us* is the longest wait that is allowed."""
        self._least_us = max(1, int(longest_us * _WORTH))
        self._ratios: dict[Lane, float] = dict.fromkeys(WEIGHTS, 1.0)

    def wait_us(self, lane: Lane, estimate_us: int) -> int:
        """About how long somebody really waits whose wait is estimated so."""
        return int(estimate_us * self._ratios[lane])

    def came(self, lane: Lane, estimate_us: int, waited_us: int) -> None:
        """Somebody's turn came after *waited_us*."""
        if estimate_us >= self._least_us:
            ratio = min(_MOST, waited_us / estimate_us)
            self._ratios[lane] = max(1.0, self._ratios[lane] + (ratio - self._ratios[lane]) * _STEP)
