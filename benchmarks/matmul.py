"""What the machine can do: the rate of one large matrix product in the precision that the training runs in."""

from __future__ import annotations

import torch

from benchmarks.measure import Work, timed


class MatrixProduct:
    """A square product of `size`, again and again for about `seconds`."""

    def __init__(self, size: int, device: torch.device, dtype: torch.dtype, *, seconds: float) -> None:
        self.size, self.device, self.seconds = size, device, seconds
        random = torch.Generator().manual_seed(0)
        self.left, self.right = (torch.randn(size, size, generator=random).to(device, dtype) for _ in range(2))
        self.product = torch.empty_like(self.left)
        once = timed(self._multiply, units=1, device=device)  # makes the kernel
        once = timed(self._multiply, units=1, device=device)
        self.repeats = max(1, round(seconds / once.seconds))

    def block(self) -> Work:
        """Units and `flops` are floating-point operations."""
        flops = 2.0 * self.size**3 * self.repeats
        done = timed(self._multiply_often, units=flops, device=self.device)
        return Work(flops, done.seconds, flops)

    def _multiply_often(self) -> None:
        for _ in range(self.repeats):
            self._multiply()

    def _multiply(self) -> None:
        torch.matmul(self.left, self.right, out=self.product)
