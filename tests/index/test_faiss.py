"""FAISS proposes, exact scores decide; the exact index is the oracle."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from shortlist.data.eligible import Eligible
from shortlist.errors import ConfigError
from shortlist.index.exact import ExactIndex
from shortlist.testing.contracts import INDEX_CHECKS

pytest.importorskip("faiss")

from shortlist.index.faiss import FaissIndex, check_factory

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(2000, 16)).astype(np.float32)
QUERIES = RNG.normal(size=(40, 16)).astype(np.float32)


@pytest.mark.parametrize("check", INDEX_CHECKS, ids=lambda check: check.__name__)
def test_a_flat_index_keeps_the_whole_contract(check) -> None:  # type: ignore[no-untyped-def]
    check(lambda vectors: FaissIndex(vectors, "Flat"))


@pytest.mark.parametrize("factory", ["HNSW32", "IVF16,Flat"])
def test_finds_nearly_all_of_the_exact_answer_with_its_bits(factory: str) -> None:
    exact = ExactIndex(VECTORS).search(QUERIES, 10)
    found = FaissIndex(VECTORS, factory, effort=256).search(QUERIES, 10)
    same = [np.isin(a, b).sum() for a, b in zip(found.rows, exact.rows, strict=True)]
    assert np.mean(same) >= 9.5  # of 10: with this effort nearly the whole index is visited
    assert_array_equal(found.scores, ExactIndex(VECTORS).score(QUERIES, found.rows))


@pytest.mark.parametrize("factory", ["HNSW32", "IVF16,Flat"])
def test_always_k_where_few_are_eligible(factory: str) -> None:
    mask = np.zeros(2000, bool)
    mask[RNG.choice(2000, 12, replace=False)] = True
    eligible = Eligible.of(40, mask=mask)
    want = ExactIndex(VECTORS).search(QUERIES, 12, eligible)
    got = FaissIndex(VECTORS, factory, effort=1).search(QUERIES, 12, eligible)
    assert_array_equal(got.rows, want.rows)  # 12 eligible, 12 asked for: nothing may be missed


def test_kept_bytes_answer_the_same(tmp_path: Path) -> None:
    built = FaissIndex(VECTORS, "HNSW32")
    file = tmp_path / "index.bin"
    file.write_bytes(built.to_bytes().tobytes())
    again = FaissIndex(VECTORS, built=np.frombuffer(file.read_bytes(), np.uint8))
    assert_array_equal(again.search(QUERIES, 10).rows, built.search(QUERIES, 10).rows)


def test_a_factory_string_that_faiss_cannot_read_says_what_to_try() -> None:
    with pytest.raises(ConfigError, match=r"index='NOPE' for vectors of 16.*Try 'HNSW32'"):
        FaissIndex(VECTORS, "NOPE")


def test_a_factory_string_can_be_checked_before_there_are_vectors() -> None:
    check_factory("HNSW32", 16)
    with pytest.raises(ConfigError, match=r"index='NOPE' for vectors of 16.*or 'exact'"):
        check_factory("NOPE", 16)


@pytest.mark.parametrize("factory", ["PQ4x4", "NSG16", "PCA8,IVF8,Flat", "IVF8,PQ4x4,RFlat"])
def test_an_index_that_cannot_leave_items_out_is_refused(factory: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot leave items out.*Flat, SQ, HNSW or IVF"):
        FaissIndex(VECTORS, factory)


@pytest.mark.parametrize("factory", ["SQ8", "HNSW16,SQ8", "IVF8,SQ8", "IVF8_HNSW16,Flat"])
def test_what_is_taken_leaves_items_out(factory: str) -> None:
    odd = np.arange(2000) % 2 == 1
    top = FaissIndex(VECTORS, factory).search(QUERIES, 5, Eligible.of(40, mask=odd))
    assert (top.rows % 2 == 1).all()


def test_too_few_vectors_to_train_on() -> None:
    with pytest.raises(ConfigError, match=r"'IVF64,Flat' over \(20, 16\) vectors"):
        FaissIndex(VECTORS[:20], "IVF64,Flat")
