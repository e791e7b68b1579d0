// Gaie-conformance is the conformance suite of the Gateway API Inference Extension, unmodified, as one program: upstream
// publishes it as a package for tests only. It takes the suite's own flags and those of "go test" (-test.v), and says
// before all else which features each test exercises: "features NAME [FEATURE FEATURE]".
package main

import (
	"fmt"
	"testing"

	"sigs.k8s.io/gateway-api-inference-extension/conformance"
	"sigs.k8s.io/gateway-api-inference-extension/conformance/tests"
)

func main() {
	for _, one := range tests.ConformanceTests {
		fmt.Println("features", one.ShortName, one.Features)
	}
	everything := func(_, _ string) (bool, error) { return true, nil }
	testing.Main(everything, []testing.InternalTest{{Name: "TestConformance", F: conformance.RunConformance}}, nil, nil)
}
