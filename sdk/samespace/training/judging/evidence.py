"""A sign test that may be looked at after every answer, and stopped when it is sure. Pure.

An ordinary sign test that is looked at again and again until it is significant errs far more often than it says. This
one holds the data against "both are as often preferred" by a bet: how much more likely the answers are if any other
share of preferences is as likely as the next. If there is no difference, the bet ever reaches 20 in one case of 20 at
most, however often somebody looks.

Source: Ville 1939; Robbins 1970, "Statistical methods related to the law of the iterated logarithm", section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

SURE: Final = 20.0
BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the answers say so far.

    Attributes:
        wins, losses: of the new encoder.
        ties: answers for neither; they say nothing.
        highest: the bet's highest value so far, with the answers in the order in which they came.
    """

    wins: int = 0
    losses: int = 0
    ties: int = 0
    highest: float = 1.0

    def after(self, preferred: int) -> Evidence:
        """One more answer: 1 for the new encoder, -1 for the base, 0 for neither; none counts once it is decided."""
        if self.decided:
            return self
        if not preferred:
            return Evidence(self.wins, self.losses, self.ties + 1, self.highest)
        wins, losses = self.wins + (preferred > 0), self.losses + (preferred < 0)
        return Evidence(wins, losses, self.ties, max(self.highest, bet(wins, losses)))

    @property
    def decided(self) -> bool:
        """Whether it is sure which one is preferred."""
        return self.highest >= SURE

    @property
    def word(self) -> str:
        """`BETTER`, `WORSE` or `UNDECIDED`, of the new encoder."""
        if not self.decided:
            return UNDECIDED
        return BETTER if self.wins > self.losses else WORSE

    @property
    def p_value(self) -> float:
        """The chance of as much evidence where there is no difference, at most."""
        return min(1.0, 1 / self.highest)

    def sentence(self) -> str:
        """For people."""
        told = f"{self.wins} to {self.losses} for the new encoder, {self.ties} times neither (p = {self.p_value:.3f})"
        if not self.decided:
            return f"Undecided: {told}."
        return f"{self.word.capitalize()} than its base: {told}."


def bet(wins: int, losses: int) -> float:
    """2^n wins! losses! / (n + 1)!, with n = wins + losses: the mean likelihood over all shares, against a half."""
    count = wins + losses
    logarithm = count * math.log(2) + math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(count + 2)
    return math.exp(logarithm)
