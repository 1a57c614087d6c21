"""The two models: dot product with biases, and a network over two embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hpsearch.trainers.collab.config import CollabConfig, parse_layers, parse_y_range
from hpsearch.trainers.collab.prepare import Side


@dataclass(frozen=True)
class Link:
    """What turns a score into a prediction, and its loss.

    With a range: low + (high - low) * sigmoid(score), mean squared error. Without: the score
    itself. `implicit`: the sigmoid is the probability that the user chooses the item, and the loss
    is the binary cross-entropy.
    """

    y_range: tuple[float, float] | None
    implicit: bool = False

    @classmethod
    def of(cls, config: CollabConfig, implicit: bool) -> Link:
        return cls(None if implicit else parse_y_range(config.y_range), implicit)

    def predict(self, scores: Tensor) -> Tensor:
        if self.implicit:
            return torch.sigmoid(scores)
        if self.y_range is None:
            return scores
        low, high = self.y_range
        return torch.sigmoid(scores) * (high - low) + low

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The mean over all (scalar)."""
        if self.implicit:
            return nn.functional.binary_cross_entropy_with_logits(scores, targets)
        return nn.functional.mse_loss(self.predict(scores), targets)


class DotBias(nn.Module):
    """dot(user, item) + user bias + item bias (fastai's EmbeddingDotBias).

    All weights are one table (n_users + n_items, n_factors + 1): users first, then items, each row
    its factors and then its bias. One look-up, one gradient and one optimiser step serve all.
    Numbers 0 of users and of items are those that training did not see.
    """

    def __init__(self, n_factors: int, n_users: int, n_items: int) -> None:
        super().__init__()
        self.n_users, self.n_factors = n_users, n_factors
        self.table = nn.Parameter(torch.zeros(n_users + n_items, n_factors + 1))

    def init_weights(self, generator: torch.Generator) -> None:
        """Normal with deviation .01, cut at two deviations by wrapping, as fastai 2 does it."""
        with torch.no_grad():
            self.table.normal_(generator=generator).fmod_(2).mul_(0.01)

    @property
    def users(self) -> Tensor:
        """(n_users, n_factors + 1): a view, the bias last."""
        return self.table.detach()[: self.n_users]

    @property
    def items(self) -> Tensor:
        """(n_items, n_factors + 1): a view, the bias last."""
        return self.table.detach()[self.n_users :]

    def rows(self, side: Side) -> Tensor:
        """What describes each user or item, (n, n_factors + 1): a view."""
        return self.users if side == "users" else self.items

    def extended(self, users: Tensor, items: Tensor) -> DotBias:
        """The same model with these rows after those of its users and of its items."""
        tables = torch.cat([self.users, users]), torch.cat([self.items, items])
        made = DotBias(self.n_factors, len(tables[0]), len(tables[1]))
        made.table.data = torch.cat(tables)
        return made

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores (batch,) of user and item numbers (batch,)."""
        return self.score(self.table[users], self.table[items + self.n_users])

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores (batch,) of the rows of users and of items."""
        return (users[:, :-1] * items[:, :-1]).sum(1) + users[:, -1] + items[:, -1]

    def all_scores(self, users: Tensor) -> Tensor:
        """Scores (batch, n_items) of user numbers (batch,) with every item."""
        left, right = self.users[users], self.items
        return left[:, :-1] @ right[:, :-1].t() + left[:, -1:] + right[:, -1]


def embedding_width(n: int) -> int:
    """fastai's rule for a column of `n` categories, the unknown one included."""
    return min(600, round(1.6 * float(n**0.56)))


class EmbeddingNN(nn.Module):
    """Both embeddings side by side through (Linear, ReLU, batch norm, dropout) layers to a score.

    The order of the layers is that of fastai 2's TabularModel; a Linear before a norm has no bias.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        layers: Sequence[int],
        *,
        drop: float = 0.0,
        emb_drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.users = nn.Embedding(n_users, embedding_width(n_users))
        self.items = nn.Embedding(n_items, embedding_width(n_items))
        self.emb_drop = nn.Dropout(emb_drop)
        width = self.users.embedding_dim + self.items.embedding_dim
        parts: list[nn.Module] = []
        for size in layers:
            parts += [nn.Linear(width, size, bias=False), nn.ReLU(), nn.BatchNorm1d(size)]
            parts += [nn.Dropout(drop)] if drop else []
            width = size
        self.layers = nn.Sequential(*parts)
        self.head = nn.Linear(width, 1)

    def init_weights(self, generator: torch.Generator) -> None:
        """Embeddings as in DotBias; Linear layers uniform in +-1/sqrt(inputs), torch's default."""
        with torch.no_grad():
            for embedding in (self.users, self.items):
                embedding.weight.normal_(generator=generator).fmod_(2).mul_(0.01)
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    for parameter in module.parameters():
                        end = module.in_features**-0.5
                        parameter.uniform_(-end, end, generator=generator)

    def rows(self, side: Side) -> Tensor:
        """What describes each user or item, (n, width): a view."""
        embedding = self.users if side == "users" else self.items
        return embedding.weight.detach()

    def extended(self, users: Tensor, items: Tensor) -> EmbeddingNN:
        """The same model with these rows after those of its users and of its items."""
        made = deepcopy(self)
        for embedding, more in ((made.users, users), (made.items, items)):
            embedding.weight.data = torch.cat([embedding.weight.data, more])
            embedding.num_embeddings = len(embedding.weight)
        return made

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores (batch,) of user and item numbers (batch,)."""
        return self.score(self.users(users), self.items(items))

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores (batch,) of the rows of users and of items."""
        both = self.emb_drop(torch.cat([users, items], 1))
        scores: Tensor = self.head(self.layers(both)).squeeze(1)
        return scores


Model = DotBias | EmbeddingNN


def fill_unknown(model: Model, n_ratings: Mapping[Side, Tensor]) -> None:
    """Set row 0 of users and of items to the mean row of the others, weighted by `n_ratings` (n,).

    Row 0 stands for all unknown users or items. No rating trains it, and fastai leaves it as it was
    drawn.
    """
    for side, counts in n_ratings.items():
        rows = model.rows(side)
        rows[0] = counts[1:] @ rows[1:] / counts[1:].sum()


def build_model(config: CollabConfig, n_users: int, n_items: int) -> Model:
    """The config's model for so many users and items, numbers 0 included; weights not drawn yet."""
    if config.model == "dot-bias":
        return DotBias(config.n_factors, n_users, n_items)
    return EmbeddingNN(
        n_users, n_items, parse_layers(config.layers), drop=config.drop, emb_drop=config.emb_drop
    )
