"""Where VGGish's published weights lie; free of torch."""

from __future__ import annotations

__all__ = ["PUBLISHED_SHA256", "URL"]

# The weights of AudioSet's VGGish (S. Hershey et al., 2017), converted for PyTorch by H. Taylor. The digits in the name
# begin the file's SHA-256.
URL = "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth"
PUBLISHED_SHA256 = "10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b"
