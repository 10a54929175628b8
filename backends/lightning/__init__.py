"""The fine-tune in Lightning, as in its transfer-learning guide: PyTorch's model and loader, Lightning's loop."""

from backends.lightning.trainer import Lightning

BACKEND = Lightning()
