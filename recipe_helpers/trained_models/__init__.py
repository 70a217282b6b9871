"""The room of `trained_models.ipynb`: does it hold on a trained LSTM, and what breaks it?

Read `data` and `training`; then what quantizing costs, `classification` (section 1) and
`language_model` (section 2); then why, `fragility` and `rounded_parts` (sections 3 and 4). `plots`
has the figures.
"""
