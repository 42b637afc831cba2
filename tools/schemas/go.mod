// Nothing is compiled of these: go.sum pins the API descriptions and CRDs that .ci/helm takes from them.
module example.org/sluice/tools/schemas

go 1.26.0

require (
	github.com/kedacore/keda/v2 v2.21.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
	k8s.io/kubernetes v1.35.0
)
