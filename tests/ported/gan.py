"""A DCGAN with batch normalization, and a critic with a gradient penalty."""

import torch
import torch.nn as nn


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


class Generator(nn.Module):
    def __init__(self, nz=6, ngf=4):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 2, 2, 1, 0, bias=False),
            nn.BatchNorm2d(ngf * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ngf),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf, 1, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, input):
        return self.main(input)


class Critic(nn.Module):
    def __init__(self, ndf=4):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(1, ndf, 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Flatten(),
            nn.Linear(ndf * 2 * 4, 1),
        )

    def forward(self, input):
        return self.main(input).squeeze(1)


def gradient_penalty(critic, real, fake):
    alpha = torch.rand(real.size(0), 1, 1, 1)
    interpolates = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    scores = critic(interpolates)
    gradients = torch.autograd.grad(
        outputs=scores,
        inputs=interpolates,
        grad_outputs=torch.ones(scores.size()),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


def run():
    torch.manual_seed(5)
    netG, netC = Generator(), Critic()
    netG.apply(weights_init)
    netC.apply(weights_init)
    optG = torch.optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5, 0.999))
    optC = torch.optim.RMSprop(netC.parameters(), lr=1e-3)
    real = torch.zeros(8, 1, 8, 8)
    real[:, :, 2:6, 2:6] = 1.0
    real = real + 0.1 * torch.randn_like(real)
    lossesG, lossesC = [], []
    for step in range(4):
        for p in netC.parameters():
            p.requires_grad = True
        for _ in range(2):
            netC.zero_grad()
            noise = torch.randn(8, 6, 1, 1)
            with torch.no_grad():
                fake = netG(noise)
            lossC = netC(fake).mean() - netC(real).mean() + 10.0 * gradient_penalty(netC, real.data, fake.data)
            lossC.backward()
            optC.step()
        for p in netC.parameters():
            p.requires_grad = False
        netG.zero_grad()
        lossG = -netC(netG(torch.randn(8, 6, 1, 1))).mean()
        lossG.backward()
        optG.step()
        lossesC.append(lossC.item())
        lossesG.append(lossG.item())
        print("[%d] Loss_C: %.4f Loss_G: %.4f" % (step, lossC.item(), lossG))
    return {"critic": lossesC, "generator": lossesG}


if __name__ == "__main__":
    run()
