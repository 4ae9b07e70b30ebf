"""LeNet-5 with random weights, or weights from a file, for grey and colour images: 84 features, 10 logits."""

import torch
import torch.nn.functional as F
from torch import nn

from genbench import Unsuitable, hookimpl

SIDE = 32  # pixels, the image size that the network was designed for


class LeNet(nn.Module):
    """Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998, with ReLU and max-pooling."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 120, 5),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(120, 84),
            nn.ReLU(),
        )
        self.head = nn.Linear(84, 10)

    def forward(self, images):
        grey = images.mean(1, keepdim=True)
        features = self.body(F.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True))
        return features, self.head(features)


@hookimpl
def build_extractor(data, weights, device):
    if data.kind != "image":
        raise Unsuitable("takes only images")
    network = LeNet()
    if weights is not None:
        network.load_state_dict(torch.load(weights, weights_only=True))
    return network.to(device)
