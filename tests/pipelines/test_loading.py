"""Start-up leaves what it made alone, and the collector as it was."""

import gc

import pytest

from pipelines.loading import loading


def test_what_was_loaded_is_looked_through_no_more() -> None:
    frozen = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
        made: list[list[int]] = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(made)
    gc.unfreeze()


def test_the_collector_is_back_after_an_error_and_stays_off_where_it_was() -> None:
    with pytest.raises(ImportError), loading(), loading():
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
