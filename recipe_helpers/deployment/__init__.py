"""The room of `deployment.ipynb`: a quantized model on its way into use.

`streaming` feeds a model step by step and compares; `server` is the process that answers, `serving`
starts it, measures it under load and stops it; `decision` puts the ways into use into one table;
`plots` draws the waiting times under load.
"""
