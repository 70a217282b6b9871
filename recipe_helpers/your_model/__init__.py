"""The room of `your_model.ipynb` and of the command line: should this model be quantized?

`report` is the way in. It has the model checked and copied by `preparation`, and its inputs by
`input_sets`, every conversion measured by `measurement` beside its `reference` (`candidates`,
`sensitivity`, `module_bytes` and `task_error` hold what was found, `onnx_way` what ONNX Runtime
made), held against the `promises`, and turned into `advice`; `findings` is all of that together,
with the `next_steps`. `tables`, `plots`, `page` and `as_data` show it; `command_line` is `python -m
recipe_helpers`, with its `arguments`.
"""
