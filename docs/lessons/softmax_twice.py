"""A loss that takes logits, given probabilities, still trains, but slowly: its gradient is far too small."""

import torch

torch.manual_seed(0)
features, labels = torch.randn(256, 512), torch.randint(10, (256,))
for name, make_scores in (("logits", torch.nn.Identity()), ("softmax, then the loss's own", torch.nn.Softmax(1))):
    torch.manual_seed(1)
    head = torch.nn.Linear(512, 10)
    optimiser = torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9)
    losses, gradient = [], 0.0
    for _ in range(100):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(make_scores(head(features)), labels)
        loss.backward()
        gradient = gradient or head.weight.grad.norm().item()
        optimiser.step()
        losses.append(loss.item())
    right = (head(features).argmax(1) == labels).float().mean().item()
    print(f"{name}: first gradient {gradient:.3f}, loss {losses[0]:.2f} to {losses[-1]:.2f}, {right:.0%} right")
