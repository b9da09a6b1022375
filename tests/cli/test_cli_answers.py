"""The commands that ask a bundle: people and programs get what the library answers."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import shortlist as sl

Run = Callable[..., tuple[int, str, str]]

COLUMNS = ["user_id", "item_id", "rank", "score"]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "json"])
def test_recommend_for_all_users_in_every_format(
    run: Run, bundle: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"recs.{suffix}"
    code, said, _ = run("recommend", bundle, "--all-users", "--k", 5, "--out", out)
    assert code == 0
    assert "290 rows for 58 users" in said
    read: dict[str, Callable[[Path], pl.DataFrame]] = {
        "parquet": pl.read_parquet,
        "csv": pl.read_csv,
        "jsonl": pl.read_ndjson,
        "json": pl.read_json,
    }
    table = read[suffix](out)
    assert table.columns == COLUMNS
    rec = sl.load(bundle)
    want = rec.recommend(users=rec.snapshot.user_vocabulary.ids, k=5)
    assert table["item_id"].to_list() == want["item_id"].to_list()
    assert table["rank"].to_list()[:6] == [1, 2, 3, 4, 5, 1]
    assert [p.name for p in tmp_path.iterdir()] == [out.name]  # no draft is left


def test_users_from_a_table_count_once_and_keep_their_type(
    run: Run, bundle: Path, folder: Path, tmp_path: Path
) -> None:
    pl.read_csv(folder / "test.csv").select(pl.col("userId").cast(pl.String)).write_parquet(
        tmp_path / "users.parquet"
    )
    out = tmp_path / "recs.parquet"
    for file in (folder / "test.csv", tmp_path / "users.parquet"):
        assert run("recommend", bundle, "--users", file, "--k", 3, "--out", out)[0] == 0
        table = pl.read_parquet(out)
        users = pl.read_csv(folder / "test.csv")["userId"].unique(maintain_order=True)
        text = file.suffix == ".parquet"
        assert table["user_id"].dtype == (pl.String if text else pl.Int64)
        assert table["user_id"].unique(maintain_order=True).cast(pl.Int64).equals(users)


def test_users_from_a_text_file_unknown_ones_included(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "ids.txt").write_text("7\n\n3\n999999\n7\n")
    out = tmp_path / "recs.parquet"
    code, _, _ = run(
        "recommend", bundle, "--users", tmp_path / "ids.txt", "--k", 2, "--out", out,
        "--with-titles",
    )  # fmt: skip
    assert code == 0
    table = pl.read_parquet(out)
    assert table.columns == [*COLUMNS, "title", "source"]
    assert table["user_id"].to_list() == [7, 7, 3, 3, 999999, 999999]
    assert table["source"].to_list()[-1] == "popularity (fallback)"


def test_keep_seen_where_allow_and_deny(run: Run, bundle: Path, folder: Path) -> None:
    train = sl.read(folder / "train.csv")
    seen = set(train.table.filter(pl.col("user_id") == 4)["item_id"])

    def items(*more: object) -> list[int]:
        code, said, _ = run("recommend", bundle, "--user", 4, "--json", "-k", 150, *more)
        assert code == 0
        return [one["item_id"] for one in json.loads(said)["recommendations"]]

    assert not seen & set(items())
    assert seen < set(items("--keep-seen"))
    rec = sl.load(bundle)
    years = dict(rec.snapshot.catalogue.table.select("item_id", "year").iter_rows())
    assert {years[item] >= 1995 for item in items("--where", "year >= 1995")} == {True}
    first, second = items()[:2]
    title = rec.snapshot.catalogue.titles[rec.snapshot.item_row(first)]
    assert items("--allow", title, "--allow", second) == [first, second]
    assert items("--deny", title)[0] == second


def test_recommend_for_people(run: Run, bundle: Path) -> None:
    code, said, _ = run("recommend", bundle, "--user", 4, "-k", 3)
    assert code == 0
    assert "For user 4, who has" in said
    assert "Terminator, The (1984)" in said or "title" in said
    code, said, _ = run("recommend", bundle, "--user", "nobody", "-k", 3)
    assert code == 0
    assert "Nobody of that id" in said
    assert "popularity (fallback)" in said
    code, said, _ = run("recommend", bundle, "--all-users", "-k", 5)
    assert code == 0
    assert "more rows; --out FILE" in said


def test_a_guest_brings_titles_and_unknown_ones_are_noted(run: Run, bundle: Path) -> None:
    code, said, err = run(
        *("recommend", bundle, "--history", "Toy Story (1995)", "--history", 260),
        *("--history", "No such film", "--json"),
    )
    assert code == 0
    assert "note: history: 1 of 3 items are unknown" in err
    want = sl.load(bundle).recommend(history=["Toy Story (1995)", 260])
    got = [one["item_id"] for one in json.loads(said)["recommendations"]]
    assert got == want["item_id"].to_list()


def test_similar_and_audience(run: Run, bundle: Path, tmp_path: Path) -> None:
    rec = sl.load(bundle)
    code, said, _ = run("similar", bundle, "Toy Story (1995)", "-k", 3, "--json")
    assert code == 0
    want = rec.similar("Toy Story (1995)", k=3)
    assert [one["item_id"] for one in json.loads(said)["similar"]] == want["item_id"].to_list()
    code, said, _ = run("similar", bundle, 1, "-k", 3)
    assert "Like Toy Story (1995)" in said
    assert want["title"][0] in said

    code, said, _ = run("audience", bundle, "Toy Story (1995)", "-k", 4, "--json")
    assert code == 0
    users = rec.audience(1, k=4)["user_id"].to_list()
    assert [one["user_id"] for one in json.loads(said)["audience"]] == users
    code, said, _ = run("audience", bundle, 1, "-k", 4, "--out", tmp_path / "a.csv")
    assert code == 0
    assert pl.read_csv(tmp_path / "a.csv")["user_id"].to_list() == users
    assert "Who would want Toy Story (1995)" in run("audience", bundle, 1)[1]
    said = run("audience", bundle, "Toy Story (1995)", 2, "-k", 3, "--json")[1]
    both = json.loads(said)
    want = rec.audience(items=[1, 2], k=3)
    assert [one["user_id"] for one in both["audience"]] == want["user_id"].to_list()
    assert [one["item_id"] for one in both["audience"]] == want["item_id"].to_list()
    assert [one["item_id"] for one in both["items"]] == want["item_id"].to_list()[::3]


def test_predict_answers_every_pair_in_order(run: Run, bundle: Path, tmp_path: Path) -> None:
    pairs = pl.DataFrame({"movieId": [1, 5, 999999, 1], "userId": [4, 4, 7, 999999]})
    pairs.write_csv(tmp_path / "pairs.csv")
    out = tmp_path / "preds.parquet"
    code, _, _ = run("predict", bundle, "--pairs", tmp_path / "pairs.csv", "--out", out)
    assert code == 0
    table = pl.read_parquet(out)
    assert table.columns == ["user_id", "item_id", "prediction"]
    assert table["user_id"].to_list() == [4, 4, 7, 999999]
    assert table["item_id"].to_list() == [1, 5, 999999, 1]
    want = sl.load(bundle).predict_pairs(pairs["userId"], pairs["movieId"])
    assert want is not None
    assert table["prediction"].to_list() == want.tolist()
    assert table["prediction"].is_finite().all()
    code, said, _ = run("predict", bundle, "--pairs", tmp_path / "pairs.csv")
    assert code == 0
    assert "prediction" in said


def test_predict_for_a_user(run: Run, bundle: Path) -> None:
    code, said, _ = run("predict", bundle, "--user", 4, "-k", 3, "--json")
    assert code == 0
    want = sl.load(bundle).predict(4)["item_id"].head(3).to_list()
    assert [one["item_id"] for one in json.loads(said)["predictions"]] == want
    code, said, _ = run(
        "predict", bundle, "--user", 4, "--item", "Toy Story (1995)", "--item", 260
    )
    assert code == 0
    assert said.index("Toy Story") < said.index("260")


def test_verify_says_what_a_bundle_holds(run: Run, bundle: Path) -> None:
    code, said, _ = run("verify", bundle)
    assert code == 0
    assert "is whole" in said
    assert "ease > bias" in said
    code, said, _ = run("verify", bundle, "--json")
    told = json.loads(said)
    assert told["whole"] is True
    assert told["manifest"]["lineage"]["users"] == 58


def test_nothing_eligible_offers_what_would_help(run: Run, bundle: Path) -> None:
    none = ("recommend", bundle, "--user", 1, "--where", "year < 1000")
    assert "loosen --where, --allow or --deny, or pass --keep-seen" in run(*none)[1]
    assert "loosen --where, --allow or --deny." in run(*none, "--keep-seen")[1]


def test_explain_says_which_films_speak(run: Run, bundle: Path, tmp_path: Path) -> None:
    code, out, _ = run("recommend", bundle, "--user", 4, "--k", 2, "--explain")
    assert code == 0
    assert "because" in out
    assert "%" in out
    code, out, _ = run("recommend", bundle, "--user", 4, "--k", 2, "--explain", "--json")
    lines = json.loads(out)["recommendations"]
    assert all(0 < one["share"] <= 1 for line in lines for one in line["because"])
    path = tmp_path / "lists.csv"
    assert run("recommend", bundle, "--user", 4, "--explain", "--out", path)[0] == 0
    written = pl.read_csv(path)
    assert written.columns == ["user_id", "item_id", "rank", "score", "because"]
    assert written["because"].str.contains(r"\d+%").all()
