"""The speed gate: two arms of a comparison, measured in launch pairs until there is a verdict."""
