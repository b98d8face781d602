{{- /* The metadata servers of clouds, which give credentials to nodes: link-local, Azure, Alibaba, Amazon over IPv6. */}}
{{- define "binderhub-service.network-policy.metadata-cidrs" -}}
    {{- list "169.254.0.0/16" "168.63.129.16/32" "100.100.100.200/32" "fd00:ec2::254/128" | toJson }}
{{- end }}

{{- /*
  Private IPv4 addresses. 100.64.0.0/10 is for carriers (RFC 6598); clouds use it for pods, Services and nodes.
*/}}
{{- define "binderhub-service.network-policy.private-ipv4-cidrs" -}}
    {{- list "10.0.0.0/8" "172.16.0.0/12" "192.168.0.0/16" "100.64.0.0/10" | toJson }}
{{- end }}

{{- /* Private addresses without metadata servers, as peers. */}}
{{- define "binderhub-service.network-policy.private-peers" -}}
{{- range include "binderhub-service.network-policy.private-ipv4-cidrs" . | fromJsonArray }}
- ipBlock:
    cidr: {{ . }}
    {{- if eq . "100.64.0.0/10" }}
    except:
      - 100.100.100.200/32
    {{- end }}
{{- end }}
- ipBlock:
    cidr: "fc00::/7"
    except:
      - "fd00:ec2::254/128"
{{- end }}

{{- /* All addresses except those in a list, as peers. */}}
{{- define "binderhub-service.network-policy.peers-except" -}}
- ipBlock:
    cidr: 0.0.0.0/0
    except:
      {{- range uniq . }}
      {{- if not (contains ":" .) }}
      - {{ . }}
      {{- end }}
      {{- end }}
- ipBlock:
    cidr: "::/0"
    except:
      {{- range uniq . }}
      {{- if contains ":" . }}
      - {{ . | quote }}
      {{- end }}
      {{- end }}
{{- end }}

{{- /* The internet, as peers: no private or reserved addresses, and no metadata servers. */}}
{{- define "binderhub-service.network-policy.internet-peers" -}}
    {{- $private := include "binderhub-service.network-policy.private-ipv4-cidrs" . | fromJsonArray }}
    {{- $metadata := include "binderhub-service.network-policy.metadata-cidrs" . | fromJsonArray }}
    {{- /* 64:ff9b::/96 maps all IPv4 addresses into IPv6, private ones too (RFC 6052). */}}
    {{- $closed := concat $private (list "240.0.0.0/4" "fc00::/7" "fe80::/10" "64:ff9b::/96") $metadata .Values.networkPolicy.blockedCIDRs }}
    {{- include "binderhub-service.network-policy.peers-except" $closed }}
{{- end }}

{{- /* The rule for DNS. Takes a list: the root context, and whether DNS at private addresses is allowed. */}}
{{- define "binderhub-service.network-policy.dns-rule" -}}
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
    # Name servers on the node: NodeLocal DNSCache at 169.254.20.10, and those of clouds.
    - ipBlock:
        cidr: 169.254.0.0/16
    {{- if last . }}
    {{- include "binderhub-service.network-policy.private-peers" (first .) | trim | nindent 4 }}
    {{- end }}
{{- end }}

{{- /* The rule for metadata servers. */}}
{{- define "binderhub-service.network-policy.metadata-rule" -}}
- to:
    {{- range include "binderhub-service.network-policy.metadata-cidrs" . | fromJsonArray }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
{{- end }}

{{- /* Egress rules of build pods and docker-api pods. Takes a list: the root context, and further rules of that pod. */}}
{{- define "binderhub-service.network-policy.build-egress-rules" -}}
{{- $root := first . }}
{{- $allow := $root.Values.networkPolicy.egressAllowRules }}
{{- if $allow.nonPrivateIPs }}
- to:
    {{- include "binderhub-service.network-policy.internet-peers" $root | trim | nindent 4 }}
{{- end }}
{{- if $allow.privateIPs }}
- to:
    {{- include "binderhub-service.network-policy.private-peers" $root | trim | nindent 4 }}
{{- end }}
{{- if $allow.cloudMetadataServer }}
{{ include "binderhub-service.network-policy.metadata-rule" $root | trim }}
{{- end }}
{{ include "binderhub-service.network-policy.dns-rule" (list $root $allow.dnsPortsPrivateIPs) | trim }}
{{- with include "binderhub-service.outbound-proxy.egress-rule" $root | trim }}
{{ . }}
{{- end }}
{{- with last . }}
{{ . | toYaml }}
{{- end }}
{{- end }}
