"""A character-level LSTM learns a short text, then writes some of its own."""

import torch
import torch.nn as nn
from torch import optim
from torch.utils.data import DataLoader, Dataset

device = "cuda" if torch.cuda.is_available() else "cpu"

TEXT = """\
The miller had a yellow dog that slept beside the door,
and every time the wheel went round it dreamt of one wheel more.
The river ran, the river ran, the miller milled his grain,
and what the sun had taken up came back again as rain.
The baker had a copper pan, the baker had a spoon,
and every loaf he ever made was rounder than the moon.
He gave the first one to the poor, the second to the king,
the third one to the miller's dog, who did not do a thing.
The king had seven silver crowns and not a single friend,
he walked along the riverside until the river's end.
And there he met the yellow dog, and there they both sat down,
and one of them went home that night without a silver crown.
"""


class CharDataset(Dataset):
    def __init__(self, text, length):
        self.chars = sorted(set(text))
        self.stoi = {c: i for i, c in enumerate(self.chars)}
        self.itos = {i: c for c, i in self.stoi.items()}
        self.data = torch.tensor([self.stoi[c] for c in text], dtype=torch.long)
        self.length = length

    def __len__(self):
        return (len(self.data) - 1) // self.length

    def __getitem__(self, i):
        start = i * self.length
        chunk = self.data[start : start + self.length + 1]
        return chunk[:-1], chunk[1:]


class CharLSTM(nn.Module):
    def __init__(self, vocab, embed=16, hidden=32, layers=2):
        super().__init__()
        self.embed = nn.Embedding(vocab, embed)
        self.lstm = nn.LSTM(embed, hidden, layers, batch_first=True, dropout=0.1)
        self.head = nn.Linear(hidden, vocab)

    def forward(self, x, state=None):
        out, state = self.lstm(self.embed(x), state)
        return self.head(out), state

    def init_hidden(self, batch):
        weight = next(self.parameters())
        shape = (self.lstm.num_layers, batch, self.lstm.hidden_size)
        return (weight.new_zeros(shape), weight.new_zeros(shape))


def sample(model, dataset, start="The ", length=60, temperature=0.8):
    model.eval()
    ids = torch.tensor([[dataset.stoi[c] for c in start]], device=device)
    out, state = list(start), None
    with torch.no_grad():
        for _ in range(length):
            logits, state = model(ids, state)
            probs = torch.softmax(logits[:, -1].float() / temperature, dim=-1)
            ids = torch.multinomial(probs, num_samples=1)
            out.append(dataset.itos[ids.item()])
    return "".join(out)


def train(mode="float32", epochs=2, lr=0.01, weights=None):
    """The losses of all steps, the norms of their gradients, and what the model writes."""
    torch.manual_seed(1)
    dataset = CharDataset(TEXT, length=24)
    loader = DataLoader(dataset, batch_size=8, shuffle=True, drop_last=True)
    model = CharLSTM(len(dataset.chars)).to(device)
    if weights is not None:
        model.load_state_dict(torch.load(weights))
    if mode == "half":
        model = model.half()
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=lr)
    losses, norms = [], []
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            hidden = tuple(h.detach() for h in model.init_hidden(x.size(0)))
            optimizer.zero_grad(set_to_none=True)
            logits, hidden = model(x, hidden)
            loss = criterion(logits.reshape(-1, logits.size(-1)), y.reshape(-1))
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            total += loss.item() * x.size(0)
            losses.append(loss.item())
            norms.append(norm.item())
    text = sample(model, dataset) if losses[-1] == losses[-1] else ""
    return {"losses": losses, "norms": norms, "text": text}


if __name__ == "__main__":
    for mode in ("float32", "half"):
        run = train(mode)
        print(f"{mode:8} first {run['losses'][0]:.4f} last {run['losses'][-1]:.4f}")
        print(run["text"])
