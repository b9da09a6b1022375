"""What the page reckons for itself, by Node alone: percentiles, rates, stars, what counts as liked."""

import json
import shutil
import subprocess
from importlib.resources import files
from typing import Any

import polars as pl
import pytest

from shortlist.data.expression import Expression

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")


def reckoned(module: str, expression: str) -> Any:
    place = files("shortlist.serving.page").joinpath(module)
    code = (
        "globalThis.sessionStorage = { getItem: () => null };"
        f"const page = await import({json.dumps(f'file://{place}')});"
        f"console.log(JSON.stringify({expression}));"
    )
    command = ["node", "--input-type=module", "--eval", code]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_percentile_lies_on_the_line_between_two_bounds() -> None:
    # 2 requests up to 1 s, 2 from 1 to 2 s, 4 beyond 4 s: the first of eight stands a half into the
    # first bound, the third a half from 1 to 2; beyond the last bound nothing more is known
    of = "[0.125, 0.25, 0.375, 0.99].map((p) => page.percentile([1, 2, 4], [2, 2, 0, 4], p))"
    assert reckoned("figures.js", of) == [500, 1000, 1500, 4000]
    assert reckoned("figures.js", "page.percentile([1], [0, 0], 0.5)") is None


def test_the_rate_leaves_out_what_only_looks() -> None:
    def look(time: float, asked: int, seen: int) -> dict[str, Any]:
        counts = {"method": "GET", "refused": 0, "failed": 1}
        return {
            "time": time,
            "routes": [
                {"route": "/recommend", "answered": asked, **counts},
                {"route": "/stats", "answered": seen, **counts},
            ],
        }

    looks = json.dumps([look(10, 5, 1), look(12, 9, 50), look(12, 9, 51)])
    # 4 more in 2 s; in no time at all, no rate
    assert [one["rate"] for one in reckoned("figures.js", f"page.rates({looks})")] == [2, 0]


def test_times_of_the_last_minute_are_those_since_then() -> None:
    now = '{ routes: [{ route: "/recommend", seconds: [5, 3] }] }'
    then = '{ routes: [{ route: "/recommend", seconds: [4, 3] }] }'
    assert reckoned("figures.js", f'page.times({now}, {then}, "/recommend")') == [1, 0]
    assert reckoned("figures.js", f'page.times({now}, null, "/recommend")') == [5, 3]
    assert reckoned("figures.js", f'page.times({now}, null, "/other")') == []


@pytest.mark.parametrize(
    ("least", "most", "starred"),
    [
        (0.5, 5, [1, 2, 3, 4, 5]),
        (1, 10, [2, 4, 6, 8, 10]),
        (-10, 10, [-10, -5, 0, 5, 10]),  # four equal steps from end to end
        (3, 5, [3, 3.5, 4, 4.5, 5]),  # nobody gave one or two: the same steps
    ],
)
def test_stars_and_the_scale_of_the_bundle(
    least: float, most: float, starred: list[float]
) -> None:
    taste = f"Object.assign(new page.Taste(), {{ scale: {{ least: {least}, most: {most} }} }})"
    both = (
        f"((t) => [1, 2, 3, 4, 5].map((n) => [t.starred(n), t.stars(t.starred(n))]))({taste})"
    )
    assert reckoned("taste.js", both) == [
        [value, n] for n, value in enumerate(starred, start=1)
    ]


@pytest.mark.parametrize(
    ("positive", "liked"),
    [
        ('"rating >= 4"', [False, False, True, True]),
        ('"rating > 4"', [False, False, False, True]),
        ("null", [False, True, True, True]),  # the middle of 0.5 to 5 is 2.75
    ],
)
def test_what_a_guest_likes_is_what_the_bundle_counts_as_liked(
    positive: str, liked: list[bool]
) -> None:
    settings = f"{{ positive: {positive}, scale: {{ least: 0.5, most: 5 }} }}"
    asked = f"[2.5, 3, 4, 5].map((r) => Object.assign(new page.Taste(), {settings}).likes(r))"
    assert reckoned("taste.js", asked) == liked


def test_titles_are_read_as_people_say_them() -> None:
    titles = [
        "Matrix, The (1999)",
        "Spirited Away (Sen to Chihiro no kamikakushi) (2001)",
        "Cable (2 m)",
        "",
    ]
    asked = f"{json.dumps(titles)}.map((title) => Object.values(page.named(title)))"
    assert reckoned("posters.js", asked) == [
        ["The Matrix", "", "1999"],
        ["Spirited Away", "Sen to Chihiro no kamikakushi", "2001"],
        ["Cable (2 m)", "", ""],
        ["", "", ""],
    ]


def test_a_value_with_quotes_stays_one_text_of_a_condition() -> None:
    value = "it's \\ so"
    written = reckoned("filters.js", f"page.quoted({json.dumps(value)})")
    table = pl.DataFrame({"mood": [value, "other"]})
    assert Expression(f"mood in [{written}]").mask(table).tolist() == [True, False]
