"""The URL of VGGish's published weights; without torch."""

from __future__ import annotations

__all__ = ["PUBLISHED_SHA256", "URL"]

# The weights of AudioSet's VGGish (S. Hershey et al., 2017), converted for PyTorch by H. Taylor. The file's SHA-256
# starts with the digits in its name.
URL = "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth"
PUBLISHED_SHA256 = "10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b"
