"""People are taken out of recommenders and bundles, and nobody else notices."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import shortlist as sl
from shortlist.errors import BundleError
from shortlist.recommender import forgetting
from shortlist.recommender.forgetting import without_people
from shortlist.recommender.publishing import point_at, pointed_at, versions
from shortlist.testing import small_world

GONE = ["u0", "u17", "u47"]
STAY = ["u1", "u18", "u46"]


def two_stages() -> sl.Recommender:
    towers = sl.retrieval.TwoTower(
        dim=8, epochs=2, user=["user_id", "town", sl.History(5)], progress=False
    )
    network = sl.ranking.RatingNetwork(dim=4, epochs=2, progress=False)
    factorisation = sl.ranking.Factorisation(dim=3, sweeps=20, burn_in=10, draws=5)
    return sl.Recommender(
        [sl.retrieval.EASE(l2=10.0), towers, sl.retrieval.ALS(dim=4)],
        rank=sl.ranking.Stack([network, factorisation]),
    ).fit(small_world())


def test_whoever_stays_is_answered_with_the_same_bits() -> None:
    rec = two_stages()
    left = without_people(rec, [*GONE, "nobody"])
    assert left.snapshot.n_users == rec.snapshot.n_users - len(GONE)
    assert left.recommend(users=STAY, k=5).equals(rec.recommend(users=STAY, k=5))
    for user in STAY:
        assert left.predict(user).equals(rec.predict(user))


def test_whoever_is_gone_is_a_stranger() -> None:
    rec = two_stages()
    left = without_people(rec, GONE)
    for user in GONE:
        told, stranger = left.recommend(user, k=5), left.recommend("never seen", k=5)
        assert told.drop("user_id").equals(stranger.drop("user_id"))
        assert left.predict(user).equals(left.predict("never seen"))
        assert "fallback" not in rec.recommend(user, k=5)["source"][0]  # as it was
    table = left.snapshot.users
    assert table is not None
    assert not table["user_id"].is_in(GONE).any()


def test_nobody_votes_for_others_once_gone() -> None:
    # users alike vote; without the voters of town 0, one of that town is answered from the rest
    world = small_world()
    rec = sl.Recommender(sl.retrieval.Alike(features=["town"])).fit(world)
    left = without_people(rec, GONE)
    kept = world.subset(~world.table["user_id"].is_in(GONE).to_numpy())
    again = sl.Recommender(sl.retrieval.Alike(features=["town"])).fit(kept)
    got = left.recommend(users=STAY, k=5, keep_seen=True)
    want = again.recommend(users=STAY, k=5, keep_seen=True)
    assert set(got["user_id"]) == set(want["user_id"])
    mine, theirs = (
        one.filter(pl.col("source") == "alike").select("user_id", "item_id", "score")
        for one in (got, want)
    )
    assert mine.join(theirs, on=["user_id", "item_id"], how="anti").is_empty()


@pytest.mark.parametrize("model", [sl.retrieval.EASE(l2=10.0), sl.retrieval.NextItem(ease=0.5)])
def test_ease_by_users_is_solved_again(
    model: sl.retrieval.EASE | sl.retrieval.NextItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 12 users and 39 items: EASE is kept by users, with a line of what each took
    monkeypatch.setattr("shortlist.retrieval.ease._SMALL_CATALOGUE", 0)
    world = small_world()
    some = world.table["user_id"].is_in([f"u{n}" for n in range(12)]).to_numpy()
    rec = sl.Recommender(model).fit(world.subset(some))
    left = without_people(rec, ["u0", "u7"]).retrievers[0]
    lines = [a.shape[0] for name, a in left.state().arrays.items() if name.endswith("offsets")]
    assert lines == [10 + 1]
    if isinstance(left, sl.retrieval.EASE):
        stay = some & ~world.table["user_id"].is_in(["u0", "u7"]).to_numpy()
        again = sl.retrieval.EASE(l2=10.0).fit(world.subset(stay))
        for name, array in again.state().arrays.items():
            np.testing.assert_array_equal(left.state().arrays[name], array)
    gone = without_people(rec, [f"u{n}" for n in range(12)])
    assert len(gone.recommend(history=["i3"], k=5)) == 5


def test_a_graph_filter_holds_no_line_of_whoever_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shortlist.retrieval.graph_filter._SMALL_CATALOGUE", 0)
    rec = sl.Recommender(sl.retrieval.GraphFilter(rank=8)).fit(small_world())
    left = without_people(rec, GONE)
    before, after = (one.retrievers[0].state().arrays for one in (rec, left))
    assert len(after["offsets"]) == len(before["offsets"]) - len(GONE)
    assert len(after["items"]) < len(before["items"])
    assert len(left.recommend("u1", k=5)) == 5


def test_everyone_can_be_forgotten() -> None:
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0), rank=sl.ranking.Biases()).fit(
        small_world()
    )
    left = without_people(rec, rec.snapshot.user_vocabulary.ids.to_list())
    assert left.snapshot.n_users == 0
    assert len(left.recommend("u0", k=5)) == 5
    assert len(left.recommend(history=["i3"], k=5)) == 5


def test_every_version_of_a_bundle_forgets(tmp_path: Path) -> None:
    bundle, world = tmp_path / "b", small_world()
    assert world.users is not None
    early = replace(
        world.subset(world.table["user_id"].to_numpy() != "u0"),
        users=world.users.filter(pl.col("user_id") != "u0"),
    )
    for train in (early, world, world):  # u0 comes with the second version
        sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(train).save(bundle)
    point_at(bundle, "0002")
    before = sl.load(bundle).recommend(users=STAY, k=5)
    assert sl.forget(bundle, ["u0"]) == {"0002": "0004", "0003": "0005"}
    assert versions(bundle) == ["0001", "0004", "0005"]
    assert pointed_at(bundle)[0] == "0004"
    sl.verify(bundle)
    rec = sl.load(bundle)
    assert rec.snapshot.user_vocabulary.row("u0") == -1
    assert rec.recommend(users=STAY, k=5).equals(before)
    for file in bundle.rglob("users.parquet"):
        assert "u0" not in pl.read_parquet(file)["user_id"].to_list()
    assert sl.forget(bundle, ["u0"]) == {}
    assert versions(bundle) == ["0001", "0004", "0005"]


def test_users_who_came_later_are_forgotten_too(tmp_path: Path) -> None:
    world, bundle = small_world(), tmp_path / "b"
    late = world.table["user_id"].is_in(["u46", "u47"]).to_numpy()
    rec = sl.Recommender(sl.retrieval.TwoTower(dim=4, epochs=1, progress=False))
    rec.fit(world.subset(~late)).update(world.subset(late))
    rec.save(bundle)
    sl.forget(bundle, ["u47", "u3"])
    left = sl.load(bundle)
    growth = left.growth
    assert growth is not None
    assert (growth.n_users, left.snapshot.n_users) == (45, 46)  # 46 and 48 less u3, and u47
    assert left.recommend("u46", k=5).equals(rec.recommend("u46", k=5))


def test_a_version_that_is_not_there(tmp_path: Path) -> None:
    sl.Recommender(sl.retrieval.Popularity()).fit(small_world()).save(tmp_path / "b")
    with pytest.raises(BundleError, match="cannot make version '0007' the current one"):
        point_at(tmp_path / "b", "0007")
    assert np.array(versions(tmp_path / "b")).tolist() == ["0001"]
    with pytest.raises(BundleError, match="is no bundle"):
        sl.forget(tmp_path / "elsewhere", ["u0"])


def test_what_cannot_be_read_is_told_and_what_is_damaged_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bundle, rec = tmp_path / "b", sl.Recommender(sl.retrieval.Popularity()).fit(small_world())
    for _ in range(5):
        rec.save(bundle)
    point_at(bundle, "0002")
    held = bundle / "versions"
    (held / "0001" / "items.parquet").unlink()
    (held / "0003" / "users.parquet").write_bytes(b"no table")
    newer = json.loads((held / "0004" / "manifest.json").read_bytes()) | {"format": 99}
    (held / "0004" / "manifest.json").write_text(json.dumps(newer))
    told = "version 0001 of .* cannot be read, and may .*version 0003 of .*version 0004 of "
    for _ in range(2):  # a copy may be under way: 0002 and 0005 are written anew, once
        with pytest.raises(BundleError, match=told):
            sl.forget(bundle, ["u0"])
        assert versions(bundle) == ["0001", "0003", "0004", "0006", "0007"]
    assert pointed_at(bundle)[0] == "0006"
    monkeypatch.setattr(forgetting, "_SETTLED_SECONDS", 0)
    with pytest.raises(
        BundleError, match=r"^version 0004 of .* cannot be read.*Upgrade shortlist"
    ):
        sl.forget(bundle, ["u0"])
    assert versions(bundle) == ["0004", "0006", "0007"]  # a newer shortlist reads it
    assert "version 0001 of" in caplog.text
    assert "version 0003 of" in caplog.text


def test_the_current_version_is_never_removed_and_nothing_half_done_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, rec = tmp_path / "b", sl.Recommender(sl.retrieval.Popularity()).fit(small_world())
    rec.save(bundle)
    rec.save(bundle)
    monkeypatch.setattr(forgetting, "_SETTLED_SECONDS", 0)

    def fails(*_: object) -> None:
        msg = "disk full"
        raise BundleError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "point_at", fails)
        with pytest.raises(BundleError, match="disk full"):
            sl.forget(bundle, ["u0"])
    assert versions(bundle) == ["0001", "0002"]
    (bundle / "versions" / "0002" / "items.parquet").unlink()
    with pytest.raises(BundleError, match=r"version 0002 of .* cannot be read"):
        sl.forget(bundle, ["u0"])
    assert versions(bundle) == ["0002", "0003"]
    assert pointed_at(bundle)[0] == "0002"
