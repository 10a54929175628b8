"""The backend's entry. It imports no framework: every command reads it, and only a worker trains."""

from backends import BackendEntry

TORCH = "docs.pytorch.org/docs/stable/generated"

ENTRY = BackendEntry(
    module="numpy_head.trainer",
    packages=("torch", "torchvision", "timm"),
    title="NumPy head",
    versions={"torch": ">=2.9,<3", "numpy": ">=2,<3"},
    knobs={
        "execution": {"eager": f"{TORCH}/torch.nn.Module.html"},
        "layout": {"nchw": f"{TORCH}/torch.nn.Conv2d.html"},
        "gradients": {"closed_form": "Bishop, Pattern Recognition and Machine Learning (2006), equation 4.109"},
        "features": {
            "recomputed": "docs.pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html",
            "cached": "docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html",
        },
    },
    trains_backbones=False,
    contract=1,
)
