"""The room of the folder `exercises`: what `rh.check("E3", answer)` says of an answer.

`checking` names the twelve exercises. What each expects stands in `size_tasks`, `rounding_tasks`,
`timing_tasks`, `trained_tasks` and `hood_tasks`; they read answers with `answers`, write what they
find into a verdict (`verdicts`), and compare with `oracles`, which compute everything once more
by themselves, on a `simulated_machine` where time is concerned. `materials` is what some tasks
are given.
"""
