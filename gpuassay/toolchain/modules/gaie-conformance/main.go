// Gaie-conformance is the conformance suite of the Gateway API Inference Extension, unmodified, as one program: upstream
// publishes it as a package for tests only. It takes the suite's own flags and those of "go test" (-test.v).
package main

import (
	"testing"

	"sigs.k8s.io/gateway-api-inference-extension/conformance"
)

func main() {
	everything := func(_, _ string) (bool, error) { return true, nil }
	testing.Main(everything, []testing.InternalTest{{Name: "TestConformance", F: conformance.RunConformance}}, nil, nil)
}
