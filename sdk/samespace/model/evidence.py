"""Why a transform was taken: what it scored beside none, on which data. Kept in its file, provenance and model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..evaluation import Comparison


@dataclass(frozen=True, slots=True)
class TransformEvidence:
    """What one run of `samespace transform` saw of the transform that it wrote.

    Attributes:
        transform: the candidate, such as "pca:128".
        pick: "best", "smallest", or the candidate's own name where the user asked for it.
        max_loss: points of nDCG@10 that "smallest" was allowed to lose.
        tried: how many candidates were scored on the same queries, none left aside.
        data, split: whose queries chose.
        sampled_windows: windows of passages that the fit saw.
        ndcg_10, ndcg_10_none: means over the queries, in [0, 1], with it and without.
        change: of nDCG@10, over the same queries; p is not corrected for `tried`.
        date: when, in UTC, as YYYY-MM-DD.
    """

    transform: str
    pick: str
    max_loss: float
    tried: int
    data: str
    split: str
    sampled_windows: int
    ndcg_10: float
    ndcg_10_none: float
    change: Comparison
    date: str

    def to_json(self) -> dict[str, Any]:
        """The plain form, for `json.dumps`."""
        return {
            "transform": self.transform,
            "pick": self.pick,
            "max_loss": self.max_loss,
            "tried": self.tried,
            "data": self.data,
            "split": self.split,
            "sampled_windows": self.sampled_windows,
            "ndcg@10": self.ndcg_10,
            "ndcg@10_none": self.ndcg_10_none,
            "ndcg@10_change": self.change.to_json(),
            "date": self.date,
        }

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> TransformEvidence:
        """The inverse; keys that it does not know are left out, so that newer files stay readable.

        Raises:
            ValueError, KeyError, TypeError, OverflowError: something is missing, of another type, or not finite.
        """
        json.dumps(record, allow_nan=False)
        change = record["ndcg@10_change"]
        made = TransformEvidence(
            transform=str(record["transform"]),
            pick=str(record["pick"]),
            max_loss=float(record["max_loss"]),
            tried=int(record["tried"]),
            data=str(record["data"]),
            split=str(record["split"]),
            sampled_windows=int(record["sampled_windows"]),
            ndcg_10=float(record["ndcg@10"]),
            ndcg_10_none=float(record["ndcg@10_none"]),
            change=Comparison(**{name: change[name] for name in Comparison.__slots__}),
            date=str(record["date"]),
        )
        plain = made.to_json()
        numbers = all(type(number) in (int, float) for number in made.change.to_json().values())
        if not numbers or any(record[key] != plain[key] for key in plain.keys() - {"ndcg@10_change"}):
            raise ValueError("its evidence has values of wrong types")
        return made

    def sentence(self) -> str:
        """For people, without a full stop. Of the best of several there is no p-value: the same queries chose it."""
        how = {"best": f"best of {self.tried} tried", "smallest": f"smallest of {self.tried} tried"}
        points, low, high = (100 * each for each in (self.change.mean, self.change.low, self.change.high))
        between = f"95 % between {low:+.2f} and {high:+.2f}"
        if self.pick in how and self.tried > 1:
            sure = f"{between}; these queries chose it, so it is too good and has no p-value"
        else:
            sure = f"{between}, p = {self.change.p_value:.4f}"
        return (
            f"{self.transform}, {how.get(self.pick, 'asked for by name')}, on {self.data}/{self.split} "
            f"({self.change.queries} queries, {self.date}): nDCG@10 {self.ndcg_10:.4f} against "
            f"{self.ndcg_10_none:.4f} without it, {points:+.2f} points ({sure})"
        )
