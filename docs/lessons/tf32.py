"""TF32: on a GPU, PyTorch's convolutions round their inputs to 10 bits of mantissa unless TF32 is switched off."""

import sys
import time

import torch

if not torch.cuda.is_available():
    sys.exit("This needs a CUDA device.")


def time_call(call) -> float:
    """Milliseconds of a call: the mean of 100."""
    call()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(100):
        call()
    torch.cuda.synchronize()
    return 10 * (time.perf_counter() - began)


torch.manual_seed(0)
print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
defaults = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
print("by default: convolutions {}, matrix products {}".format(*("TF32" if on else "fp32" for on in defaults)))
images, kernel = torch.randn(128, 256, 32, 32, device="cuda"), torch.randn(256, 256, 3, 3, device="cuda")
a, b = torch.randn(2, 4096, 4096, device="cuda")
calls = {"convolution": lambda: torch.nn.functional.conv2d(images, kernel), "matrix product": lambda: a @ b}
for name, call in calls.items():
    results = {}
    for allowed in (False, True):
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
        results[allowed] = call(), time_call(call)
    error = (results[True][0] - results[False][0]).norm() / results[False][0].norm()
    print(f"{name}: fp32 {results[False][1]:.2f} ms, TF32 {results[True][1]:.2f} ms, relative difference {error:.1e}")
