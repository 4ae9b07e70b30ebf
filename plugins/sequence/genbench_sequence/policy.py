"""Policy gradients for texts: roll-outs, the rewards of symbols, and the loss whose gradient is REINFORCE's."""

from __future__ import annotations

import torch
from torch import Tensor

from genbench_sequence.drawing import draw
from genbench_sequence.recurrent import Recurrent
from genbench_sequence.texts import END, symbol_log_probabilities

__all__ = ["baseline", "policy_loss", "rewards_of", "roll_out"]


def roll_out(policy: Recurrent, noise: Tensor, count: int, rollouts: int) -> tuple[Tensor, Tensor]:
    r"""Draw texts, and complete each of their beginnings several times.

    One pass over the positions draws everything: after each symbol the texts' states are copied, and the copies
    continue alongside the existing ones. The policy that completes is the one that draws, as in Yu et al. (2017),
    section 3.1.

    Args:
        policy: the model that the symbols are drawn from.
        noise: (count (1 + rollouts (L - 1)), L), uniform in [0, 1).
        count: B, the number of texts.
        rollouts: N, completions of each beginning.

    Returns:
        The texts (B, L), and completions (L - 1, N, B, L): those at t - 1 begin with the first t symbols of a text. A
        beginning that has ended is its own completion.
    """
    length = noise.shape[1]
    texts = torch.full(noise.shape, END, dtype=torch.int64, device=noise.device)
    state, last = policy.begin(count, noise.device), texts[:count, 0]
    going = torch.ones_like(last, dtype=torch.bool)
    for place in range(length):
        logits, state = policy.advance(last, state)
        drawn = len(last)
        last = draw(logits, noise[:drawn, place]).where(going, END)
        texts[:drawn, place] = last
        if place < length - 1:
            copies = slice(drawn, drawn + rollouts * count)
            texts[copies, : place + 1] = texts[:count, : place + 1].repeat(rollouts, 1)
            last = torch.cat([last, last[:count].repeat(rollouts)])
            hidden, cell = (torch.cat([part, part[:, :count].repeat(1, rollouts, 1)], 1) for part in state)
            state = hidden, cell
        going = last != END
    return texts[:count], texts[count:].view(length - 1, rollouts, count, length)


def rewards_of(scores: Tensor, completion_scores: Tensor) -> Tensor:
    r"""Return the value of each symbol: the mean score of the completions of the text up to it, (B, L).

    .. math:: Q(x_{1:t}) = \frac1N \sum_n D(x^n), \; x^n \sim p(\cdot \mid x_{1:t}); \quad Q(x_{1:L}) = D(x)

    L. Yu, W. Zhang, J. Wang, Y. Yu (2017), "SeqGAN: Sequence Generative Adversarial Nets with Policy Gradient",
    equation 4. https://arxiv.org/abs/1609.05473

    Args:
        scores: (B,), scores of the texts.
        completion_scores: (L - 1, N, B).
    """
    return torch.cat([completion_scores.mean(1), scores[None]]).T


def baseline(scores: Tensor) -> Tensor:
    """Return, for each text, the mean score of the others: (B,). It reduces the gradient's variance without bias.

    R. J. Williams (1992), "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning",
    section 4, https://doi.org/10.1007/BF00992696. A single text is compared with 0.

    >>> baseline(torch.tensor([1.0, 2.0, 6.0]))
    tensor([4.0000, 3.5000, 1.5000])
    """
    return (scores.sum() - scores) / max(1, len(scores) - 1)


def policy_loss(logits: Tensor, texts: Tensor, advantages: Tensor) -> Tensor:
    r"""Return a number whose gradient is REINFORCE's estimate of the gradient of the negative expected reward, 0-d.

    .. math:: L = -\frac1B \sum_b \sum_{t \le |x_b| + 1} A_{b,t} \log p(x_{b,t} \mid x_{b,<t})

    L. Yu et al. (2017), equation 8, https://arxiv.org/abs/1609.05473

    Args:
        logits: (B, L, V), the policy's logits for its own draws.
        texts: (B, L), the draws; symbols after an end do not count.
        advantages: (B, L), without gradient: rewards minus a baseline.
    """
    return -(advantages * symbol_log_probabilities(logits, texts)).sum(1).mean()
