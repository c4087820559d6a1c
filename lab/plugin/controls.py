"""Runs a scenario's negative controls: the same body on the same recording, with one thing altered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab.plugin.tape import Tape, TapeError
from lab.scenario import Control, Wrong


class ControlFailedError(AssertionError):
    """A control did not fail as it should: a green result of this scenario would prove nothing."""


def controls_of(item: pytest.Item) -> Sequence[Control]:
    """The controls in the scenario's markers."""
    return [control for mark in item.iter_markers("controls") for control in mark.args]


def run_controls(item: pytest.Function, tape: Tape) -> list[str]:
    """Run all controls of a scenario that has just passed; returns their labels, or raises ControlFailedError.

    First the unaltered recording must pass: otherwise a control's failure would say nothing.
    """
    with tape.replay():
        failure = _failure(item)
    if failure is not None:
        raise ControlFailedError(f"the scenario fails on its own unaltered recording: {failure}")
    done = []
    for control in controls_of(item):
        if isinstance(control, Wrong):
            continue  # a run of its own: --controls
        with tape.replay(control.alter):
            failure = _failure(item)
        if not tape.changed:
            raise ControlFailedError(f"control «{control.label}» found nothing to alter in what was recorded")
        if failure is None:
            raise ControlFailedError(f"control «{control.label}» passed: the scenario does not see it")
        if not control.named_in(failure):
            raise ControlFailedError(f"control «{control.label}» failed without naming what was altered: {failure}")
        done.append(control.label)
    return done


def _failure(item: pytest.Function) -> str | None:
    """The message of the assertion that fails, None when the body passes."""
    names = item._fixtureinfo.argnames
    try:
        item.obj(**{name: item.funcargs[name] for name in names})
    except TapeError:
        raise
    except (AssertionError, pytest.fail.Exception) as error:
        return str(error)
    except Exception as error:
        raise ControlFailedError(f"on replay the scenario raised {error!r}, which is no assertion") from error
    return None
