#!/usr/bin/env bash
# Start every part of a one-node Kubernetes: `up.sh FOLDER BINARIES IMAGE.tar...`, as root, in a
# network namespace of its own. Each part leaves FOLDER/NAME.pid and FOLDER/log/NAME; the
# administrator's kubeconfig is FOLDER/admin.kubeconfig. down.sh takes all of it away.
set -euo pipefail
folder=$1 binaries=$2
shift 2
node=node-1 pods=10.244.0 services=10.96.0 api=https://127.0.0.1:26443
mkdir -p "$folder"/{log,cni,pki}
cd "$folder"

# the kubelet sets these for the whole machine
sysctl vm.overcommit_memory kernel.panic kernel.panic_on_oops | tr -d ' ' > sysctl.before

ip link set lo up
ip link add cni0 type bridge
ip addr add $pods.1/24 dev cni0 # what listens there is reached from pods
ip link set cni0 up
ip route add $services.0/24 dev cni0 # Services are reached from here as well

openssl genrsa -out accounts.key 2048 2>/dev/null
token=$(openssl rand -hex 16)
printf '%s\n' "$token-admin,admin,1,system:masters" \
    "$token-controllers,system:kube-controller-manager,2" \
    "$token-scheduler,system:kube-scheduler,3" \
    "$token-node,system:node:$node,4,system:nodes" > tokens.csv
for user in admin controllers scheduler node; do
    cat > $user.kubeconfig <<END
{apiVersion: v1, kind: Config, current-context: test,
 contexts: [{name: test, context: {cluster: test, user: $user}}],
 users: [{name: $user, user: {token: $token-$user}}],
 clusters: [{name: test, cluster: {server: "$api", certificate-authority: $folder/pki/apiserver.crt}}]}
END
done

cri='plugins."io.containerd.grpc.v1.cri"'
cat > containerd.toml <<END
version = 2
root = "$folder/containerd"
state = "$folder/containerd-state"
[grpc]
address = "$folder/containerd.sock"
[$cri]
sandbox_image = "localhost/pause:test"
restrict_oom_score_adj = true
disable_apparmor = true
[$cri.cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$folder/cni"
END
cat > cni/pods.conflist <<END
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "cni0",
 "isGateway": true, "hairpinMode": true, "ipam": {"type": "host-local", "dataDir": "$folder/ipam",
 "ranges": [[{"subnet": "$pods.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
: > resolv.conf
cat > kubelet.yaml <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $pods.1
containerRuntimeEndpoint: unix://$folder/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
resolvConf: $folder/resolv.conf
podLogsDir: $folder/pod-logs
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", nodefs.inodesFree: "1%", imagefs.available: "1%"}
END
cat > proxy.yaml <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $pods.0/24
hostnameOverride: $node
bindAddress: 127.0.0.1
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
clientConnection: {kubeconfig: $folder/admin.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {masqueradeAll: true}
END

start() { # NAME COMMAND...
    setsid nohup "${@:2}" > "log/$1" 2>&1 9>&- &
    echo $! > "$1.pid"
}
until_true() { # NAME COMMAND...: the part NAME must live until COMMAND succeeds
    for _ in $(seq 600); do
        "${@:2}" >/dev/null 2>&1 && return
        kill -0 "$(cat "$1.pid")" 2>/dev/null || break
        sleep 0.2
    done
    echo "$1 did not come up:" >&2
    tail -n 20 "log/$1" >&2
    exit 69
}
account() { # USER: arguments of a control loop
    echo "--kubeconfig=$1.kubeconfig --authentication-kubeconfig=$1.kubeconfig" \
        "--authorization-kubeconfig=$1.kubeconfig --bind-address=127.0.0.1 --leader-elect=false"
}
export KUBECONFIG=$folder/admin.kubeconfig PATH=$binaries:$PATH

start containerd containerd -c containerd.toml
start etcd etcd --data-dir "$folder/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
start apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --cert-dir="$folder/pki" \
    --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port=26443 \
    --service-account-key-file=accounts.key --service-account-signing-key-file=accounts.key \
    --service-account-issuer=https://kubernetes.default.svc --token-auth-file=tokens.csv \
    --service-cluster-ip-range=$services.0/24 --authorization-mode=Node,RBAC \
    --enable-admission-plugins=NodeRestriction --endpoint-reconciler-type=none \
    --kubelet-preferred-address-types=InternalIP
containers() { ctr --address "$folder/containerd.sock" --namespace k8s.io "$@"; }
until_true containerd containers version
for image in "$@"; do containers images import "$image" >/dev/null; done
until_true apiserver kubectl get --raw /readyz
# shellcheck disable=SC2046 # the arguments are words
start controllers kube-controller-manager $(account controllers) --use-service-account-credentials \
    --service-account-private-key-file=accounts.key --root-ca-file=pki/apiserver.crt
# shellcheck disable=SC2046
start scheduler kube-scheduler $(account scheduler)
start proxy kube-proxy --config=proxy.yaml
start kubelet kubelet --config=kubelet.yaml --kubeconfig=node.kubeconfig --root-dir="$folder/kubelet" \
    --cert-dir="$folder/kubelet/pki" --hostname-override=$node --node-ip=$pods.1
until_true kubelet kubectl get node $node
until_true controllers kubectl get serviceaccount default
kubectl wait --for=condition=Ready node/$node --timeout=60s >/dev/null
