"""The model card: what an artifact is, for people; everything in it stands in the manifest too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..errors import SamespaceError
from ..model.exportable import Exportable
from ..model.transform import Transform
from ..report.verdicts import SCORE_HEAD, markdown_table, score_notes, score_rows, verdict
from .builds.exact import BuildFile
from .hub_header import header, origin_of, results_of
from .provenance import public_name

_USAGE: Final = """\
## Usage

In this folder, with `pip install 'samespace[cpu]'`:

```python
from samespace import Encoder

encoder = Encoder.load(".")
queries = encoder.encode(["how do I flatten a list"], role="query")
passages = encoder.encode(["Use itertools.chain."], role="passage")
print(queries @ passages.T)
```

`samespace verify .` checks the files and recomputes the probes; `samespace serve .` serves it. The id is over weights,
tokenizer and recipe: encoders with one id give the same vectors, up to rounding. Stored vectors belong to one id.
"""


def model_card(
    name: str,
    checkpoint: Exportable,
    builds: Sequence[BuildFile],
    refused: Sequence[SamespaceError],
    provenance: Mapping[str, Any],
) -> str:
    """The text of the artifact's README.md; *refused* is why a build, or a runtime of one, is not in the table."""
    identity, recipe = checkpoint.identity, checkpoint.recipe
    rows = [
        f"| {build.name} | {m.runtime} {m.version} | {m.precision} | {m.worst:.1e} | "
        + ("-" if m.ndcg_change is None else f"{m.ndcg_change:+.2f} points on {m.gate_data}")
        + " |"
        for build in builds
        for m in build.measured
    ]
    prompts = [f"- Prompt for {role}: `{prompt}`" for role, prompt in recipe.prompts.items() if prompt]
    record = provenance.get("training", {})
    origin = origin_of(checkpoint.source)
    said = verdict(record) if "comparisons" in record else None
    adapted = record.get("verdict")
    lines = [
        header(origin, name, "samespace", results_of(record) if said else (), tags=("onnx",)) + f"# {name}",
        "",
        f"A text encoder exported by samespace. Space id: `{identity.space_id()}`.",
        "Its vectors may be compared only with vectors of the same space.",
        "",
        f"- Vectors: {identity.dims} dims, {identity.pooling} pooling, unit length; compare by cosine.",
        f"- Texts: up to {recipe.token_limit} tokens at once; longer ones in windows that share "
        f"{recipe.window_overlap} tokens, never cut.",
        *prompts,
        *([_transform(checkpoint.transform)] if checkpoint.transform else []),
        *([f"- Head: {provenance['head']['summary']}"] if "head" in provenance else []),
        *([f"- Both encoders trained: {provenance['joint']['summary']}"] if "joint" in provenance else []),
        f"- Made from: `{public_name(checkpoint.source)}`",
        f"- {origin.sentence()}",
        "",
        _USAGE,
        *(["## Verdict on the checkpoint", "", adapted["sentence"], "", adapted["rests_on"], ""] if adapted else []),
        *(
            ["## Scores of the checkpoint", "", said[0], "", markdown_table(SCORE_HEAD, score_rows(record)), ""]
            if said
            else []
        ),
        *((sentence + "\n" for sentence in score_notes(record)) if said else ()),
        "## Builds",
        "",
        f"| build | runtime | computes in | worst 1 - cos to {checkpoint.reference} | nDCG@10 change, points |",
        "| --- | --- | --- | --- | --- |",
        *rows,
        "",
        *(_int8_method(build) for build in builds if build.method),
        *[f"Not used: {error}" for error in refused],
    ]
    return "\n".join(lines).rstrip() + "\n"


def _transform(transform: Transform) -> str:
    """Which one, and on what evidence."""
    if transform.evidence is None:
        return f"- Transform: {transform.kind} to {transform.dims} dims; how it was chosen is not recorded."
    return f"- Transform: {transform.evidence.sentence()}."


def _int8_method(build: BuildFile) -> str:
    """How an int8 build was made, in a sentence and a line break."""
    texts = build.method.get("calibration")
    if texts is None:
        return (
            f"{build.name} is quantised dynamically: a text's vector depends a little on its neighbours in a batch.\n"
        )
    return f"{build.name} is quantised with the scales of {texts['texts']} unlabelled texts ({texts['name']}).\n"
