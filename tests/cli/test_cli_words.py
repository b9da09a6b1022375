"""Messages name flags, not Python."""

import pytest

from shortlist.cli.words import as_flags


@pytest.mark.parametrize(
    ("python", "flags"),
    [
        (
            'Correct it, or read with on_bad_rows="quarantine"',
            "Correct it, or pass --on-bad-rows quarantine",
        ),
        (
            "say which: columns={'user_id': 'uid'}. Columns",
            "say which: --column user_id=uid. Columns",
        ),
        (
            "Name it: columns={'user_id': 'its name there', 'item_id': 'its name there'}",
            "Name it: --column user_id=NAME --column item_id=NAME",
        ),
        ('read with positive="rating >= 4"', 'pass --positive "rating >= 4"'),
        ("columns names 'who' as the user_id", "--column names 'who' as the user_id"),
        ("The holdout 'latest' judges more users.", "--holdout latest judges more users."),
        ("nothing of ours", "nothing of ours"),
    ],
)
def test_python_becomes_flags(python: str, flags: str) -> None:
    assert as_flags(python) == flags
