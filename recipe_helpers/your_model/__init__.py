"""The room of `your_model.ipynb` and of the command line: should this model be quantized?

`report` is the way in: it has the model and its inputs copied and checked by `preparation`, and
every conversion measured by `measurement`. What was found of one conversion is in `candidates`,
the errors of its outputs in `task_error`; it is held against the `promises`, and the `verdict`
chooses, says why, and what to do as code to copy. `findings` is all of that together, as text and
as data, `plots` its figure; `command_line` is `python -m recipe_helpers`.
"""
