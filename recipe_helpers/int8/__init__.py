"""The library that outlives the tutorial: int8 LSTM, GRU and Linear in plain tensors.

Read `arithmetic` first, the reference in plain torch, with `scheme`, `weights`, `residual` and
`activations` that it is made of; then the modules built on it, `linear`, `lstm` and `gru`, and what
the last two share, `recurrent`. `cpu` says what the machine can do; `conversion` puts the modules
into a model (`parametrizations` makes its weights plain ones before), `saving` into a file.
`fast_path` runs the same integers in compiled code, and `onnx_runtime` other ones, to compare with.
Nothing here knows of notebooks, figures or widgets.
"""
