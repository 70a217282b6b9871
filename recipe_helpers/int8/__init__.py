"""The kernels of version 2.0, which the demonstrations of `under_the_hood` run until they move.

`fast_path` and the modules under it, `arithmetic`, `scheme`, `weights`, `residual`, `activations`,
`linear`, `lstm`, `recurrent` and `cpu`. Everything else takes the library `int8_rnn`.
"""
