"""What trinity says of what it did."""

from __future__ import annotations

import pytest

from lab.errors import LabError
from lab.survival.trinity import Ran, read_said


def test_its_last_count_is_read() -> None:
    said = (
        "[main] Ran 10 syscalls. Successes: 1  Failures: 9\n[main] Ran 2000 syscalls. Successes: 402  Failures: 1598\n"
    )
    assert read_said(said) == Ran(2000, 402, 1598)


def test_one_that_did_not_run_is_an_error() -> None:
    with pytest.raises(LabError, match="cannot be run"):
        read_said("setpriv: trinity cannot be run")
