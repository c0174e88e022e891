"""The toolkits that seq2seq is compared with, each run in an environment of its own."""

from benchmarking.peers.eole import Eole
from benchmarking.peers.joeynmt import JoeyNMT
from benchmarking.peers.opennmt import OpenNMT
from benchmarking.peers.toolkit import Toolkit

TOOLKITS: dict[str, Toolkit] = {toolkit.key: toolkit for toolkit in (OpenNMT(), Eole(), JoeyNMT())}
