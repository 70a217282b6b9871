"""The library that outlives the tutorial: int8 LSTM and Linear in plain tensors.

Read `arithmetic` first, the reference in plain torch; then the modules built on it, `lstm` and
`linear`; `conversion` puts them into a model, `saving` into a file. `fast_path` runs the same
integers in compiled code. Nothing here knows of notebooks, figures or widgets.
"""
