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

{{- /* Refuses policies that would do nothing, or cut off what another value exposes. */}}
{{- define "binderhub-service.network-policy.guards" -}}
    {{- $own := .Values.networkPolicy.binderhub }}
    {{- if and $own.enabled (not .Values.networkPolicy.enabled) }}
        {{- fail "networkPolicy.binderhub.enabled is true and networkPolicy.enabled is false, which makes no policies at all. Set both to true, or both to false." }}
    {{- end }}
    {{- if and $own.enabled (not $own.ingress) (not $own.allowedIngressPorts) }}
        {{- $outside := ternary "the controller of the Ingress" "" .Values.ingress.enabled }}
        {{- with $outside | default (ternary "the Gateway of the HTTPRoute" "" .Values.httpRoute.enabled) }}
            {{- printf "networkPolicy.binderhub.enabled would keep %s from BinderHub. Let its pods in with a rule in networkPolicy.binderhub.ingress, or anybody with networkPolicy.binderhub.allowedIngressPorts: [http]." . | fail }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* What is not protected: a list of sentences, as JSON. */}}
{{- define "binderhub-service.network-policy.warnings" -}}
    {{- $said := list }}
    {{- if not .Values.networkPolicy.enabled }}
        {{- $said = append $said "The steps of a Dockerfile reach whatever pods reach: private addresses, the Kubernetes API, the cloud's metadata. Set networkPolicy.enabled to true." }}
    {{- else }}
        {{- if not (or .Values.networkPolicy.binderhub.enabled (include "binderhub-service.auth-enabled" .)) }}
            {{- $said = append $said "Any pod of the cluster can ask BinderHub for builds. Set networkPolicy.binderhub.enabled to true, or hub.enabled." }}
        {{- end }}
        {{- if not .Values.networkPolicy.binderhub.egressEnabled }}
            {{- $said = append $said "BinderHub connects to whatever host a visitor names for a repository, private addresses and the cloud's metadata included. Set networkPolicy.binderhub.egressEnabled to true." }}
        {{- end }}
    {{- end }}
    {{- $said | toJson }}
{{- end }}
