"""samespace_weaviate.pinning.conditions"""

from __future__ import annotations

import pytest

from samespace.errors import RequestInvalid
from samespace_weaviate.pinning.conditions import read_conditions

SCHEMA = {
    "properties": [
        {"name": name, "dataType": [kind]}
        for name, kind in {
            "topic": "text",
            "year": "int",
            "price": "number",
            "open": "boolean",
            "at": "geoCoordinates",
        }.items()
    ]
}


def test_values_have_the_type_of_their_property() -> None:
    """Weaviate compares a number with a number; and a value may contain an equals sign."""
    texts = ["topic=a=b", "year=2026", "price=1.5", "open=false"]
    assert read_conditions(texts, SCHEMA) == {"topic": "a=b", "year": 2026, "price": 1.5, "open": False}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("topic", "PROPERTY=VALUE"),
        ("topik=x", "did you mean 'topic'"),
        ("xyz=x", "there are: at, open"),
        ("year=soon", "type int"),
        ("open=yes", "true or false"),
        ("at=1", "cannot be compared"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_can(text: str, says: str) -> None:
    """The message holds the name that was meant, or the type."""
    with pytest.raises(RequestInvalid, match=says):
        read_conditions([text], SCHEMA)


def test_two_values_of_one_property_are_refused() -> None:
    """All conditions have to hold, so the second could only be a mistake."""
    with pytest.raises(RequestInvalid, match="twice"):
        read_conditions(["year=1", "year=2"], SCHEMA)
