"""``shortlist demo``: the whole path on the bundled data, in under a minute."""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shortlist.cli.files import check_out_folder
from shortlist.cli.fitting import (
    comparison_json,
    epochs_of,
    ranker_verdict,
    rating_errors_beside_bias,
    timed,
)
from shortlist.cli.options import AsJson, Seed
from shortlist.cli.printing import (
    as_json,
    bulleted,
    comparison_of,
    heading,
    key_of,
    progress,
    rows_of,
    sentence,
    show,
    table_of,
)

if TYPE_CHECKING:
    from shortlist.data.interactions import Interactions
    from shortlist.data.parts import Parts
    from shortlist.evaluation.comparison import Comparison
    from shortlist.recommender.recommender import Recommender

EXAMPLE = "Example: shortlist demo --user 42 --out movies.bundle"
_TOWER_EPOCHS = (
    20  # at most, to keep the demo short; the default of 40 gains about .004 of recall
)
_HISTORY = 8  # titles shown
_AUDIENCE_OF = "Toy Story (1995)"


def demo(
    *,
    user: Annotated[str, typer.Option(help="Whom to recommend to; ids are 1 to 671.")] = "42",
    out: Annotated[
        Path | None, typer.Option(help="Keep the bundle here; by default it is thrown away.")
    ] = None,
    seed: Seed = 0,
    json: AsJson = False,
) -> None:
    """Run the whole path on bundled films.

    Check, split, train, compare, recommend, save, load and ask again.
    """
    import shortlist as sl

    started = time.perf_counter()
    if out is not None:
        check_out_folder(out)
    data = sl.datasets.movielens()
    checkup = sl.check(data)
    parts = sl.split.latest(data, validation=0.1, test=0.1)
    if not json:
        _print_data(str(checkup).splitlines(), checkup.findings, parts)
    fitted = _fit(parts, seed)
    with timed(f"judging on {len(parts.test):,} test rows"):
        figures = _figures(fitted, parts, seed)
    winner, why = _to_serve(fitted, figures["comparison"])
    if not json:
        _print_figures(figures, fitted, why)
    with timed(f"fitting {winner.name} again on all {len(data):,} rows"):
        served = winner.settled().fit(data)
    served.metrics = {"test": {"name": "latest", "leaks": parts.leaks, **_as_json(figures)}}
    asked = _Asked(served, user)
    if not json:
        asked.print(data)
    with ExitStack() as stack:
        folder = (
            out or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "movies.bundle"
        )
        progress(f"saving to {folder}, loading and asking again")
        served.save(folder)
        same = asked.same_as(_Asked(sl.load(folder), user))
    seconds = time.perf_counter() - started
    if json:
        as_json(
            {
                "check": checkup.to_dict(),
                "split": {"name": "latest", "leaks": parts.leaks, **_sizes(parts)},
                "epochs": {name: epochs_of(rec) for name, rec in fitted.items()},
                **_as_json(figures),
                "served": winner.name,
                "why": why,
                **asked.to_dict(),
                "bundle": None if out is None else str(out),
                "same_answers": same,
                "seconds": round(seconds, 1),
            }
        )
        return
    heading("The bundle")
    show(f"Written, loaded and asked again; same answers: {'yes' if same else 'NO'}")
    show(f"Kept at {out}" if out is not None else "Thrown away; --out DIR keeps it")
    heading(f"Done in {seconds:.0f} seconds")
    show(
        "Next: shortlist train --train movielens --out movies.bundle, then with a table of your own"
    )


class _Asked:
    # one recommender's answers to the demo's questions
    def __init__(self, rec: "Recommender", user: str) -> None:
        held = rec.snapshot
        row = held.user_vocabulary.row(user)
        lines = slice(held.histories.offsets[row], held.histories.offsets[row + 1])
        liked = held.histories.item_rows[lines] if row >= 0 else held.histories.item_rows[:0]
        self.user, self.items = user, len(liked)
        titles = held.catalogue.titles.gather(liked)
        ratings = held.histories.ratings
        self.history: list[tuple[str, float | None]] = [
            (title, None if ratings is None else float(ratings[lines][i]))
            for i, title in enumerate(titles)
        ]
        self.recommended = rec.recommend(user=user, k=10)
        self.likeness = rec.similar(self.favourite, k=3)
        self.audience = rec.audience(_AUDIENCE_OF, k=5)

    @property
    def favourite(self) -> str:
        # the latest of what they rated highest
        best = max((rating or 0.0 for _, rating in self.history), default=0.0)
        loved = [title for title, rating in self.history if (rating or 0.0) == best]
        return loved[-1] if loved else _AUDIENCE_OF

    def same_as(self, other: "_Asked") -> bool:
        mine = (self.recommended, self.likeness, self.audience)
        theirs = (other.recommended, other.likeness, other.audience)
        return all(one.equals(two) for one, two in zip(mine, theirs, strict=True))

    def to_dict(self) -> dict[str, Any]:
        return {
            "user": self.user,
            "history": [{"title": t, "rating": r} for t, r in self.history],
            "recommendations": rows_of(self.recommended),
            "similar": {"title": self.favourite, "items": rows_of(self.likeness)},
            "audience": {"title": _AUDIENCE_OF, "users": rows_of(self.audience)},
        }

    def print(self, data: "Interactions") -> None:
        heading(f"User {self.user}: {self.items:,} films, the latest of them")
        for title, rating in self.history[-_HISTORY:]:
            show(f"{'' if rating is None else f'{rating:3.1f}'}  {title}")
        heading(f"Ten films for user {self.user}")
        show(table_of(self.recommended.select("rank", "title", "score", "source")))
        heading(f"Like {self.favourite}")
        show(table_of(self.likeness.select("rank", "title", "score")))
        heading(f"Who would want {_AUDIENCE_OF} and has not seen it")
        show(table_of(self.audience))


def _fit(parts: "Parts", seed: int) -> "dict[str, Recommender]":
    # by name; where there is torch, "all" is towers, EASE and the rating network together
    import shortlist as sl

    train, held = parts.train, parts.validation
    fitted: dict[str, Recommender] = {}
    for part in (sl.retrieval.Popularity(), sl.retrieval.EASE()):
        with timed(f"fitting {part.name} on {len(train):,} rows"):
            fitted[part.name] = sl.Recommender(part).fit(train, validate=held)
    simple = fitted["ease"]
    listed = sl.Recommender(sl.retrieval.EASE(), sl.ranking.Boosted(seed=seed))
    try:
        with timed(f"fitting {listed.name}, a second stage that learns from lists"):
            fitted[listed.name] = listed.fit(train, validate=held)
    except sl.ShortlistError as error:
        if type(error).__name__ != "MissingExtraError":
            raise
        progress(f"  left out: {error}")
    ranker: Any = sl.ranking.Biases()
    try:
        towers = sl.retrieval.TwoTower(seed=seed, epochs=_TOWER_EPOCHS)
        with timed(f"fitting two-tower, at most {_TOWER_EPOCHS} epochs"):
            fitted["two-tower"] = sl.Recommender(towers).fit(train, validate=held)
        ranker = sl.ranking.RatingNetwork(seed=seed)
    except sl.ShortlistError as error:
        if type(error).__name__ != "MissingExtraError":
            raise
        progress(f"  left out, and the rating network with it: {error}")
    with timed(f"fitting the ranker {ranker.name}"):
        ranker.fit(train, validate=held)
    retrievers = list(simple.retrievers)
    if "two-tower" in fitted:
        retrievers += fitted["two-tower"].retrievers
        blend = simple.with_parts(retrieve=retrievers, name="")
        fitted[blend.name] = blend
    whole = simple.with_parts(retrieve=retrievers, rank=ranker, name="")
    fitted[whole.name] = whole
    return fitted


def _figures(
    fitted: "dict[str, Recommender]", parts: "Parts", seed: int
) -> "dict[str, Comparison]":
    import shortlist as sl

    everyone = list(fitted.values())
    whole = everyone[-1]
    comparison = sl.compare(everyone, parts.test, baselines=False, seed=seed)
    figures = {"comparison": comparison}
    ratings = rating_errors_beside_bias(whole, parts.train, parts.test, comparison)
    if ratings is not None:
        figures["ratings"] = ratings
    return figures


def _to_serve(
    fitted: "dict[str, Recommender]", comparison: "Comparison"
) -> "tuple[Recommender, str]":
    ranked = sorted(comparison.lines, key=lambda line: -line.estimate.value)
    pick = next(line for line in ranked if comparison.beaten is True or line.baseline)
    if comparison.beaten:
        return fitted[pick.name], f"{sentence(comparison.summary)} Serve {pick.name}."
    words = comparison.summary.removesuffix(": serve the simple model")
    return fitted[pick.name], f"{sentence(words)} Serve the simple model, {pick.name}."


def _as_json(figures: "dict[str, Comparison]") -> dict[str, Any]:
    return {name: comparison_json(one) for name, one in figures.items()}


def _sizes(parts: "Parts") -> dict[str, int]:
    held = 0 if parts.validation is None else len(parts.validation)
    return {"train": len(parts.train), "validation": held, "test": len(parts.test)}


def _print_data(summary: list[str], findings: Any, parts: "Parts") -> None:
    heading("The data: MovieLens small")
    show(*summary[: len(summary) - sum(1 + bool(one.todo) for one in findings)])
    show(bulleted([one.text for one in findings if one.level != "ok"]))
    sizes = _sizes(parts)
    heading("The split: each user's latest films")
    show(
        f"{sizes['train']:,} rows to learn from, {sizes['validation']:,} to choose when to stop, "
        f"{sizes['test']:,} to judge",
        f"What leaks: {parts.leaks}",
    )


def _print_figures(
    figures: "dict[str, Comparison]", fitted: "dict[str, Recommender]", why: str
) -> None:
    comparison = figures["comparison"]
    heading("Who finds the films that people watched next?")
    show(
        comparison_of(comparison),
        key_of(comparison),
        why,
    )
    for name, rec in fitted.items():
        words = ranker_verdict(comparison, name)
        if words is not None and rec.rank is not None:
            show(f"{rec.rank.name}: {words}")
    if "ratings" in figures:
        heading("Who predicts the ratings? (RMSE, lower is better)")
        network, bias = figures["ratings"].lines
        show(
            f"rating network  {network.estimate}",
            f"bias model      {bias.estimate}",
            sentence(bias.verdict),
        )
