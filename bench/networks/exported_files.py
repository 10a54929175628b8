"""The files of an exported network, in one folder."""

#: The neutral graph, see docs/network-graph.md.
GRAPH = "graph.json"
#: The tensors that it names.
TENSORS = "tensors.safetensors"
#: `images`, network inputs (n, height, width, channels) float32, and their `features` (n, d) in double precision.
EVIDENCE = "evidence.safetensors"
FEATURES = "features"
