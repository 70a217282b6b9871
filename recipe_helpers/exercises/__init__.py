"""The room of the folder `exercises`: what `rh.check("E3", answer)` says of an answer.

`checking` names the twelve exercises. What each expects stands in `size_tasks`, `timing_tasks`,
`rounding_tasks`, `trained_tasks` and `integer_tasks`, which read answers with `answers` and know
mistakes as tables (`verdicts`). `outlier_model` is what E8 is given.
"""
