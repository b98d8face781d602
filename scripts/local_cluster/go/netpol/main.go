// netpol enforces NetworkPolicies on the node that it runs on, with kube-router's controller for them.
//
// kube-router's own command does not build from its Go module: a checksum of what it needs is missing.
package main

import (
	"flag"
	"strings"
	"sync"

	"github.com/cloudnativelabs/kube-router/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/pkg/options"
	networking "k8s.io/api/networking/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

func main() {
	klog.InitFlags(nil)
	kubeconfig := flag.String("kubeconfig", "", "how the API server is reached")
	settings := options.NewKubeRouterConfig()
	flag.StringVar(&settings.HostnameOverride, "hostname-override", "", "the node's name")
	flag.StringVar(&settings.ClusterIPCIDR, "service-cidr", "", "the subnet of Services")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	exitOn(err)
	client, err := kubernetes.NewForConfig(config)
	exitOn(err)

	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	exitOn(policies.SetTransform(withoutIPv6))
	forever := make(chan struct{})
	factory.Start(forever)
	factory.WaitForCacheSync(forever)

	controller, err := netpol.NewNetworkPolicyController(client, settings, pods, policies, namespaces, &sync.Mutex{})
	exitOn(err)
	pods.AddEventHandler(controller.PodEventHandler)
	namespaces.AddEventHandler(controller.NamespaceEventHandler)
	policies.AddEventHandler(controller.NetworkPolicyEventHandler)

	// It waits for somebody to take its heartbeats. Nobody needs them: a process that ends is started again.
	heartbeats := make(chan *healthcheck.ControllerHeartbeat)
	go func() {
		for range heartbeats {
		}
	}()
	var running sync.WaitGroup
	running.Add(1)
	controller.Run(heartbeats, forever, &running)
}

// withoutIPv6 takes IPv6 blocks out of a policy. The cluster's pods have IPv4 addresses only, so they allow nothing
// here; the controller of this version reads ::/0 as all of IPv4, and gives up at any other.
func withoutIPv6(object interface{}) (interface{}, error) {
	policy, ok := object.(*networking.NetworkPolicy)
	if !ok {
		return object, nil
	}
	policy = policy.DeepCopy()
	ingress, egress := policy.Spec.Ingress, policy.Spec.Egress
	policy.Spec.Ingress, policy.Spec.Egress = nil, nil
	for _, rule := range ingress {
		peers := ofIPv4(rule.From)
		if len(peers) > 0 || len(rule.From) == 0 { // a rule without peers allows all
			rule.From = peers
			policy.Spec.Ingress = append(policy.Spec.Ingress, rule)
		}
	}
	for _, rule := range egress {
		peers := ofIPv4(rule.To)
		if len(peers) > 0 || len(rule.To) == 0 {
			rule.To = peers
			policy.Spec.Egress = append(policy.Spec.Egress, rule)
		}
	}
	return policy, nil
}

func ofIPv4(peers []networking.NetworkPolicyPeer) []networking.NetworkPolicyPeer {
	var kept []networking.NetworkPolicyPeer
	for _, peer := range peers {
		if peer.IPBlock == nil || !strings.Contains(peer.IPBlock.CIDR, ":") {
			kept = append(kept, peer)
		}
	}
	return kept
}

func exitOn(err error) {
	if err != nil {
		klog.Fatal(err)
	}
}
