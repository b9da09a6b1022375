import json

import pytest

from shortlist.data.features import (
    Bucket,
    Category,
    Hash,
    History,
    Number,
    Tags,
    Text,
    features_from_json,
    features_to_json,
)
from shortlist.errors import ConfigError

DECLARED = (
    "item_id",
    Category("kind"),
    Tags("genres"),
    Number("year"),
    Bucket("year", 9),
    Hash("link"),
    Text("title", min_count=3),
    History(7, ordered=False),
)


def test_declarations_go_through_json() -> None:
    text = json.dumps(features_to_json(DECLARED))
    assert features_from_json(json.loads(text)) == DECLARED


@pytest.mark.parametrize(
    "value", [{"kind": "Picture", "column": "x"}, {"column": "x"}, 3, None]
)
def test_a_kind_that_is_not_known(value: object) -> None:
    with pytest.raises(ConfigError, match=r"cannot read feature .*kinds are \[.*'Category'"):
        features_from_json([value])
