"""How good an encoder is: retrieval sets, exact search, metrics, BM25 beside it, and whether a difference is real.

from samespace.evaluation import DenseRanker, Bm25Ranker, evaluate, load_dataset, paired_bootstrap

Needs no torch; BM25 needs the extra `eval`.
"""

from .baselines import Bm25Ranker
from .dataset import Dataset, load_dataset, load_splits, splits
from .isotropy import effective_rank, mean_cosine, uniformity
from .retrieval import DenseRanker, Embedder, Evaluation, Ranker, Run, Score, VectorRanker, evaluate, remarks, search
from .significance import Comparison, paired_bootstrap

__all__ = [
    "Bm25Ranker",
    "Comparison",
    "Dataset",
    "DenseRanker",
    "Embedder",
    "Evaluation",
    "Ranker",
    "Run",
    "Score",
    "VectorRanker",
    "effective_rank",
    "evaluate",
    "load_dataset",
    "load_splits",
    "mean_cosine",
    "paired_bootstrap",
    "remarks",
    "search",
    "splits",
    "uniformity",
]
