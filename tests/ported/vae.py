"""A variational autoencoder on noisy stripes."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import Adam


class VAE(nn.Module):
    def __init__(self, features=16, hidden=24, latent=3):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(features, hidden)
        self.fc21, self.fc22 = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.LeakyReLU(0.1), nn.Linear(hidden, features))

    def encode(self, x):
        h1 = F.elu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 16))
        z = self.reparameterize(mu, logvar)
        return torch.sigmoid(self.decoder(z)), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 16), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


def run():
    torch.manual_seed(3)
    phase = torch.rand(64, 1) * 6.28
    data = (torch.sin(torch.linspace(0, 12, 16).unsqueeze(0) + phase) > 0).float()
    model = VAE()
    optimizer = Adam(model.parameters(), lr=1e-2)
    losses = []
    for epoch in range(2):
        model.train()
        train_loss = 0
        for batch_idx, batch in enumerate(data.split(16)):
            optimizer.zero_grad()
            recon, mu, logvar = model(batch)
            loss = loss_function(recon, batch, mu, logvar)
            loss.backward()
            train_loss += loss.item()
            optimizer.step()
            losses.append(loss.item() / len(batch))
        print("====> Epoch: {} Average loss: {:.4f}".format(epoch, train_loss / len(data)))
    with torch.no_grad():
        model.eval()
        sample = torch.sigmoid(model.decoder(torch.randn(4, 3))).cpu()
    return {"losses": losses, "sample": sample.mean(dim=1).tolist()}


if __name__ == "__main__":
    run()
