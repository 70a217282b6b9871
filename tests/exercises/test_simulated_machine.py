"""Time passes when a model is called, and as the conditions say."""

import itertools
import statistics

import pytest

from recipe_helpers.exercises.timing_tasks import (
    CANDIDATE,
    REFERENCE,
    SimulatedMachine,
)


def times_ms(calls=40, name=REFERENCE, **how):
    machine = SimulatedMachine(**how)
    model, found = machine.model(name), []
    for _ in range(calls):
        start = machine.clock()
        model("any", arguments=1)
        found.append(1e3 * (machine.clock() - start))
    assert machine.timings() == [name] * calls
    return found


def test_a_call_takes_its_time_within_two_percent():
    assert statistics.median(times_ms()) == pytest.approx(1, abs=0.02)
    assert statistics.median(times_ms(name=CANDIDATE, speedup=4.0)) == pytest.approx(0.25, abs=0.01)
    assert statistics.median(times_ms(speedup=4.0)) == pytest.approx(1, abs=0.02)
    assert len(set(times_ms())) == 40


def test_what_a_real_machine_does_it_does_on_purpose():
    slowing = times_ms(drift=0.1)
    assert slowing[-1] / slowing[0] == pytest.approx(1 + 39 * 0.1, rel=0.05)
    warming = times_ms(warm_up=10.0)
    assert [round(t) for t in warming[:5]] == [10, 10, 10, 1, 1]
    interrupted = times_ms(200, interrupted=True)
    assert 2 < sum(t > 3 for t in interrupted) < 25
    assert max(interrupted) == pytest.approx(4, abs=0.1)


def test_a_benchmark_without_an_end_gets_one():
    model = SimulatedMachine().model(REFERENCE)
    with pytest.raises(RuntimeError, match="without an end"):
        all(model() is None for _ in itertools.count())
