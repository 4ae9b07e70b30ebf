"""Statistics over datasets: scores of models on several datasets, with several seeds each.

The input is a set of strata: for one model, dataset -> its scores, one per training seed, higher is better. No module
here imports torch.
"""
