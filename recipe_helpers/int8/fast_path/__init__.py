"""The compiled way to run `Int8LSTM` and `Int8Linear`: the same integers, many times as fast.

`calls` is its Python side, `kernels` the compiled code.
"""
