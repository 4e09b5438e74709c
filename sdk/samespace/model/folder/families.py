"""Families of encoders whose prompts stand in the model card alone: known by their names, and named to the user.

A folder of such a family without prompts exports without them, and scores lower than its card says, with no error
anywhere. So an export says which prompts the card has. They are facts about published models, as of 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_BGE: Final = "Represent this sentence for searching relevant passages: "
_ANY_TASK: Final = "an instruction for the task (see its card)"


@dataclass(frozen=True, slots=True)
class PromptFamily:
    """What the cards of a family say.

    Attributes:
        name: for people.
        pattern: found in the names of its models, in lower case.
        query, passage: the prompts; None where the card wants an instruction for each task.
    """

    name: str
    pattern: str
    query: str | None
    passage: str | None

    @property
    def has_prompts(self) -> bool:
        """Whether its card asks for any."""
        return self.query != "" or self.passage != ""


PROMPT_FAMILIES: Final = (
    PromptFamily("multilingual E5 instruct", r"multilingual-e5-[a-z]+-instruct", None, ""),
    PromptFamily("multilingual E5", r"multilingual-e5-(small|base|large)", "query: ", "passage: "),
    PromptFamily("E5 Mistral", r"e5-mistral", None, ""),
    PromptFamily("E5", r"\be5-(small|base|large)(-v2|-unsupervised)?\b", "query: ", "passage: "),
    PromptFamily("BGE M3", r"bge-m3", "", ""),
    PromptFamily("BGE Chinese", r"bge-[a-z]+-zh", "为这个句子生成表示以用于检索相关文章：", ""),
    PromptFamily("BGE", r"bge-(small|base|large)-en", _BGE, ""),
    PromptFamily("GTE Qwen2", r"gte-qwen", None, ""),
    PromptFamily("GTE", r"gte-(small|base|large|multilingual|modernbert)", "", ""),
    PromptFamily("nomic-embed", r"nomic-embed-text", "search_query: ", "search_document: "),
    PromptFamily("nomic ModernBERT", r"modernbert-embed", "search_query: ", "search_document: "),
    PromptFamily("Snowflake Arctic 2", r"arctic-embed-[a-z]+-v2", "query: ", ""),
    PromptFamily("Snowflake Arctic", r"arctic-embed", _BGE, ""),
    PromptFamily("mxbai-embed", r"mxbai-embed", _BGE, ""),
    PromptFamily("Qwen3-Embedding", r"qwen3-embedding",
                 "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:", ""),
    PromptFamily("EmbeddingGemma", r"embedding-?gemma", "task: search result | query: ", "title: none | text: "),
    PromptFamily("Jina 3", r"jina-embeddings-v3", "Represent the query for retrieving evidence documents: ",
                 "Represent the document for retrieval: "),
    PromptFamily("Jina 2", r"jina-embeddings-v2", "", ""),
    PromptFamily("MiniLM", r"minilm-l\d+", "", ""),
    PromptFamily("MPNet", r"mpnet-base", "", ""),
    PromptFamily("LaBSE", r"labse", "", ""),
    PromptFamily("GTR", r"gtr-t5", "", ""),
    PromptFamily("sentence-T5", r"sentence-t5", "", ""),
    PromptFamily("instructor", r"instructor-(base|large|xl)", None, None),
)  # fmt: skip


def family_of(names: Iterable[str]) -> PromptFamily | None:
    """The family that one of *names* is of: a folder, a hub name, what a configuration says it was made from."""
    lowered = [name.lower() for name in names]
    return next((family for family in PROMPT_FAMILIES for name in lowered if re.search(family.pattern, name)), None)


def missing_prompts(names: Iterable[str]) -> str:
    """What to tell the user of a model without any prompt; "" where nothing is amiss or known."""
    family = family_of(names)
    if family is None or not family.has_prompts:
        return ""
    query, passage = (_ANY_TASK if prompt is None else repr(prompt) for prompt in (family.query, family.passage))
    return (
        f"No prompts: this looks like {family.name}, and its model card asks for {query} before queries and {passage} "
        "before passages. Pass --query-prompt and --passage-prompt, or it scores lower than its card."
    )
