"""The variants that are proven on a GPU; no framework in sight."""

from __future__ import annotations

from types import MappingProxyType

from backends.task import Variant

REFERENCE = "reference"

#: Each with the task that it is proven on.
VARIANTS = MappingProxyType(
    {
        name: (task, Variant(name=name, threads=2, device="cuda", **knobs))
        for name, task, knobs in (
            ("default", "frozen", {}),
            ("tf32", "frozen", {"precision": "tf32"}),
            ("fp16", "frozen", {"precision": "fp16"}),
            ("bf16", "frozen", {"precision": "bf16"}),
            ("nhwc", "frozen", {"layout": "nhwc"}),
            ("autotuned", "frozen", {"autotune": "autotuned"}),
            ("fused", "frozen", {"optimizer": "fused"}),
            ("resident", "frozen", {"images": "resident"}),
            ("normalised", "frozen", {"images": "normalised"}),
            ("uint8", "frozen", {"images": "uint8", "workers": "1"}),
            ("pinned", "frozen", {"transfer": "pinned"}),
            ("uint8 pinned", "frozen", {"images": "uint8", "transfer": "pinned", "prefetch": "4"}),
            ("cuda_graphs", "frozen", {"execution": "cuda_graphs"}),
            (
                "many",
                "frozen",
                {
                    "execution": "cuda_graphs",
                    "precision": "fp16",
                    "layout": "nhwc",
                    "folding": "conv_bn",
                    "gradients": "inference_mode",
                    "images": "resident",
                    "optimizer": "fused",
                    "autotune": "autotuned",
                },
            ),
            ("closed_form", "frozen", {"gradients": "closed_form", "execution": "cuda_graphs"}),
            ("compiled", "frozen", {"execution": "compiled"}),
            ("reduce_overhead", "frozen", {"execution": "reduce_overhead"}),
            (
                "reduce_overhead, inference mode",
                "frozen",
                {"execution": "reduce_overhead", "gradients": "inference_mode"},
            ),
            ("max_autotune", "frozen", {"execution": "max_autotune"}),
            ("batch_stats", "batch_stats", {}),
            ("batch_stats, cuda_graphs", "batch_stats", {"execution": "cuda_graphs"}),
            ("batch_stats, reduce_overhead", "batch_stats", {"execution": "reduce_overhead"}),
        )
    }
)
