"""The room of `class_comparison.ipynb`: many machines' ledgers side by side, many measurements.

`reading` takes the files in, as from strangers; `comparison` says where the machines agree; `plots`
draws it. A ledger is written by `rh.Ledger.to_json` or `python -m recipe_helpers ledger --json`.
`survey` makes many measurements at once, on a Dask cluster if there is one.
"""
