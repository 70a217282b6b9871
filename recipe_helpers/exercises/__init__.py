"""The room of the folder `exercises`: what `rh.check("E3", answer)` says of an answer.

`checking` names the twelve exercises. What each expects, and which mistakes it knows, stands in
`size_tasks`, `timing_tasks`, `rounding_tasks`, `trained_tasks` and `integer_tasks`; `answers` reads
what came and says what is wrong with it. Benchmarks are tried on a `simulated_machine`;
`outlier_model` is what E8 is given.
"""
