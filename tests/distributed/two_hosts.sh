#!/bin/sh
# Train Multi30k on two hosts, which are network namespaces; the second is killed and started again. Needs root.
#   sh tests/distributed/two_hosts.sh DIRECTORY_OF_MULTI30K [UPDATES]
# At the end the weights of the disturbed run and of an undisturbed one have the same hashes.
set -eu
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 OMP_NUM_THREADS=1
for n in 1 2; do
    mkdir -p /etc/netns/host$n  # else each connection waits for a name server
    printf '127.0.0.1 localhost\n10.77.0.1 host1\n10.77.0.2 host2\n' > /etc/netns/host$n/hosts
    echo 'nameserver 127.0.0.1' > /etc/netns/host$n/resolv.conf
    ip netns add host$n
    ip -n host$n link set lo up
done
trap 'ip netns del host1; ip netns del host2' EXIT
ip link add veth1 netns host1 type veth peer name veth2 netns host2
for n in 1 2; do
    ip -n host$n addr add 10.77.0.$n/24 dev veth$n
    ip -n host$n link set veth$n up
done
train() { # the host's number, the run's name
    GLOO_SOCKET_IFNAME=veth$1 ip netns exec host$1 torchrun --nnodes=2 --nproc-per-node=1 --max-restarts=3 \
        --rdzv-backend=c10d --rdzv-endpoint=10.77.0.1:29500 --rdzv-id=$2 --rdzv-conf=is_host=$((2 - $1)) \
        --local-addr=10.77.0.$1 -m seq2seq train experiment=multi30k_de_en_luong data.root="$data" name=$2 \
        trainer.max_steps=$updates trainer.save_every=20 machine.precision=fp32
}
data=$1 updates=${2:-120}
train 1 whole & train 2 whole; wait
train 1 killed & train 2 killed &
until grep -q '"step": *[2-9][0-9]' runs/killed/last/checkpoint.json 2> /dev/null; do sleep 1; done
kill -9 $(ip netns pids host2)
train 2 killed; wait
sha256sum runs/whole/*/model.safetensors runs/killed/*/model.safetensors
