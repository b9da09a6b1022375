"""What learning needs is missed before anything is learned, in words that say what to install."""

import pytest

from shortlist.data import extras
from shortlist.data.extras import Extra
from shortlist.errors import MissingExtraError

BOOSTED = Extra("boosted", "growing Boosted needs LightGBM and onnx", "Answering needs neither")


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras._MODULES, "boosted", ("no_such_module",))
    with pytest.raises(
        MissingExtraError, match=r"pip install 'shortlist\[boosted\]'. Answering"
    ):
        BOOSTED.insist()


def test_a_package_whose_system_library_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def unlinked(name: str) -> None:
        msg = "libgomp.so.1: cannot open shared object file: No such file or directory"
        raise OSError(msg)

    monkeypatch.setattr(extras, "import_module", unlinked)
    with pytest.raises(
        MissingExtraError, match=r"cannot be loaded \(libgomp\.so\.1.*apt-get install libgomp1"
    ):
        BOOSTED.insist()
