"""A loop in PyTorch that goes on where a killed worker left it, and keeps its model for `train`."""

import optuna
import torch

# Imported here, torch is seeded before each trial.
NUMBERS = torch.Generator().manual_seed(0)
X = torch.randn(256, 8, generator=NUMBERS)
Y = (X[:, :3].sum(1, keepdim=True)).tanh()


def loss(trial, lr, width, epochs=5, device="cpu", output=None):
    x, y = X.to(device), Y.to(device)
    model = torch.nn.Sequential(
        torch.nn.Linear(8, width), torch.nn.ReLU(), torch.nn.Linear(width, 1)
    ).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr)
    begin, state = 1, trial.checkpoint and trial.checkpoint / "state.pt"
    if state and state.exists():  # the worker that began this trial was killed
        kept = torch.load(state, weights_only=True)
        model.load_state_dict(kept["model"])
        optimiser.load_state_dict(kept["optimiser"])
        begin = kept["epoch"] + 1
    for epoch in range(begin, epochs + 1):
        for rows in torch.randperm(192).split(32):
            optimiser.zero_grad()
            train_loss = torch.nn.functional.mse_loss(model(x[rows]), y[rows])
            train_loss.backward()
            optimiser.step()
        with torch.no_grad():
            valid_loss = torch.nn.functional.mse_loss(model(x[192:]), y[192:]).item()
        if state:
            kept = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save({**kept, "epoch": epoch}, state)
        trial.report(valid_loss, epoch, train_loss=train_loss.item(), lr=lr)
        if trial.should_prune():
            raise optuna.TrialPruned
    if output:  # `hpsearch train`
        torch.save(model.state_dict(), output / "model.pt")
    return valid_loss
