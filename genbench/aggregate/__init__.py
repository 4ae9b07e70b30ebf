"""Statistics over datasets: scores of models on several datasets, with several seeds each.

What is aggregated are strata: for one model, dataset -> its scores, one a training seed, higher is better. No module
here imports torch.
"""
