"""A GRU encoder and decoder with teacher forcing learns to reverse sequences of unequal lengths."""

import random

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

PAD, SOS, EOS = 0, 1, 2


class Encoder(nn.Module):
    def __init__(self, vocab, hidden):
        super().__init__()
        self.embedding = nn.Embedding(vocab, hidden, padding_idx=PAD)
        self.gru = nn.GRU(hidden, hidden, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(2 * hidden, hidden)

    def forward(self, src, lengths):
        packed = pack_padded_sequence(self.embedding(src), lengths.cpu(), batch_first=True, enforce_sorted=False)
        outputs, hidden = self.gru(packed)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True)
        return outputs, torch.tanh(self.fc(torch.cat((hidden[-2], hidden[-1]), dim=1)))


class Decoder(nn.Module):
    def __init__(self, vocab, hidden):
        super().__init__()
        self.embedding = nn.Embedding(vocab, hidden)
        self.attn = nn.Linear(3 * hidden, 1)
        self.rnn = nn.GRUCell(3 * hidden, hidden)
        self.out = nn.Linear(hidden, vocab)

    def forward(self, token, hidden, memory, mask):
        scores = self.attn(torch.cat([hidden.unsqueeze(1).expand(-1, memory.size(1), -1), memory], dim=2)).squeeze(2)
        scores = scores.masked_fill(~mask, -1e4)
        weights = torch.softmax(scores, dim=1)
        context = torch.bmm(weights.unsqueeze(1), memory).squeeze(1)
        hidden = self.rnn(torch.cat([self.embedding(token), context], dim=1), hidden)
        return self.out(hidden), hidden


def run():
    random.seed(2)
    torch.manual_seed(2)
    sources = [torch.randint(3, 10, (n,)) for n in (5, 3, 4, 2)]
    targets = [torch.cat([s.flip(0), torch.tensor([EOS])]) for s in sources]
    lengths = torch.tensor([len(s) for s in sources])
    src = pad_sequence(sources, batch_first=True, padding_value=PAD)
    trg = pad_sequence(targets, batch_first=True, padding_value=PAD)
    encoder, decoder = Encoder(10, 12), Decoder(10, 12)
    params = list(encoder.parameters()) + list(decoder.parameters())
    optimizer = torch.optim.Adam(params, lr=1e-2)
    criterion = nn.CrossEntropyLoss(ignore_index=PAD)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        memory, hidden = encoder(src, lengths)
        mask = (src != PAD)[:, : memory.size(1)]
        token = torch.full((src.size(0),), SOS, dtype=torch.long)
        outputs = torch.zeros(src.size(0), trg.size(1), 10)
        for t in range(trg.size(1)):
            output, hidden = decoder(token, hidden, memory, mask)
            outputs[:, t] = output
            teacher_force = random.random() < 0.5
            top1 = output.argmax(1)
            token = trg[:, t] if teacher_force else top1
        loss = criterion(outputs.view(-1, 10), trg.view(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1)
        optimizer.step()
        losses.append(loss.item())
        print(f"loss {loss:.4f}")
    return {"losses": losses, "hidden": hidden.abs().mean().item()}


if __name__ == "__main__":
    run()
