{{- /* Where a cloud's nodes ask for their metadata, and get credentials: link-local addresses, Azure's, Alibaba's, Amazon's over IPv6. */}}
{{- define "binderhub-service.network-policy.metadata" -}}
    {{- list "169.254.0.0/16" "168.63.129.16/32" "100.100.100.200/32" "fd00:ec2::254/128" | toJson }}
{{- end }}

{{- /*
  Private IPv4 addresses. 100.64.0.0/10 is for carriers (RFC 6598), and clouds number pods, Services and nodes from it.
*/}}
{{- define "binderhub-service.network-policy.private-ipv4" -}}
    {{- list "10.0.0.0/8" "172.16.0.0/12" "192.168.0.0/16" "100.64.0.0/10" | toJson }}
{{- end }}

{{- /* Private addresses, as peers, without those of a cloud's metadata. */}}
{{- define "binderhub-service.network-policy.private" -}}
{{- range include "binderhub-service.network-policy.private-ipv4" . | fromJsonArray }}
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

{{- /* All addresses but those given in a list, as peers. */}}
{{- define "binderhub-service.network-policy.all-but" -}}
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

{{- /* The internet, as peers: neither private nor reserved addresses, nor those of a cloud's metadata. */}}
{{- define "binderhub-service.network-policy.internet" -}}
    {{- $private := include "binderhub-service.network-policy.private-ipv4" . | fromJsonArray }}
    {{- $metadata := include "binderhub-service.network-policy.metadata" . | fromJsonArray }}
    {{- /* 64:ff9b::/96 is an IPv4 address, private ones too, as IPv6 (RFC 6052). */}}
    {{- $closed := concat $private (list "240.0.0.0/4" "fc00::/7" "fe80::/10" "64:ff9b::/96") $metadata .Values.networkPolicy.blockedCIDRs }}
    {{- include "binderhub-service.network-policy.all-but" $closed }}
{{- end }}

{{- /* Name servers: a rule. Takes a list: the root, and whether private addresses are open too. */}}
{{- define "binderhub-service.network-policy.name-servers" -}}
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
    {{- include "binderhub-service.network-policy.private" (first .) | trim | nindent 4 }}
    {{- end }}
{{- end }}

{{- /* A rule for the metadata of a cloud. */}}
{{- define "binderhub-service.network-policy.to-metadata" -}}
- to:
    {{- range include "binderhub-service.network-policy.metadata" . | fromJsonArray }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
{{- end }}

{{- /* Egress rules of a pod that builds. Takes a list: the root, and the pod's own further rules. */}}
{{- define "binderhub-service.network-policy.egress" -}}
{{- $root := first . }}
{{- $allow := $root.Values.networkPolicy.egressAllowRules }}
{{- if $allow.nonPrivateIPs }}
- to:
    {{- include "binderhub-service.network-policy.internet" $root | trim | nindent 4 }}
{{- end }}
{{- if $allow.privateIPs }}
- to:
    {{- include "binderhub-service.network-policy.private" $root | trim | nindent 4 }}
{{- end }}
{{- if $allow.cloudMetadataServer }}
{{ include "binderhub-service.network-policy.to-metadata" $root | trim }}
{{- end }}
{{ include "binderhub-service.network-policy.name-servers" (list $root $allow.dnsPortsPrivateIPs) | trim }}
{{- with last . }}
{{ . | toYaml }}
{{- end }}
{{- end }}

{{- /* Who may ask BinderHub: the peers of one rule. */}}
{{- define "binderhub-service.network-policy.clients" -}}
{{- $access := dict "hub.jupyter.org/network-access-binderhub" "true" }}
{{- $everywhere := eq .Values.networkPolicy.binderhub.interNamespaceAccessLabels "accept" }}
{{- /* JupyterHub's proxy brings requests, and its hub looks whether the service answers. */}}
{{- range list $access (dict "app" "jupyterhub" "component" "proxy") (dict "app" "jupyterhub" "component" "hub") }}
- podSelector:
    matchLabels:
      {{- . | toYaml | nindent 6 }}
  {{- if $everywhere }}
  namespaceSelector: {}
  {{- end }}
{{- end }}
{{- if $everywhere }}
- namespaceSelector:
    matchLabels:
      {{- $access | toYaml | nindent 6 }}
{{- end }}
{{- end }}
