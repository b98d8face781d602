{{- /* Egress to the public internet and to the cluster's name servers; private addresses are closed. */}}
{{- define "binderhub-service.network-policy.egress" -}}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except:
          - 10.0.0.0/8
          - 172.16.0.0/12
          - 192.168.0.0/16
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
  to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
      podSelector:
        matchLabels:
          # CoreDNS and kube-dns both carry it, whoever runs the cluster.
          k8s-app: kube-dns
{{- end }}
