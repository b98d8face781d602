{{- /*
  Where BinderHub may connect to. Visitors choose the hosts of repositories, so private addresses and a cloud's metadata
  servers are closed. Whatever the values configure stays reachable: an IP address or a Service in the cluster gets a rule
  of its own, and another host, whose address only DNS knows, gets its port opened on all private addresses.
*/}}

{{- /* The URLs that BinderHub is configured with, as a JSON list: registries, the hub, and HTTP proxies. */}}
{{- define "binderhub-service.binderhub-egress.urls" -}}
    {{- $urls := list }}
    {{- $registry := include "binderhub-service.registry" . | fromJson }}
    {{- $docker := .Values.config.DockerRegistry | default dict }}
    {{- $helper := .Values.config.ExternalRegistryHelper | default dict }}
    {{- range list $registry.url $registry.tokenUrl $docker.url $docker.token_url $helper.service_url }}
        {{- $urls = append $urls (. | default "" | toString) }}
    {{- end }}
    {{- range include "binderhub-service.extra-env" . | fromYamlArray }}
        {{- if has (upper (toString .name)) (list "JUPYTERHUB_API_URL" "HTTP_PROXY" "HTTPS_PROXY" "ALL_PROXY") }}
            {{- $urls = append $urls (.value | default "" | toString) }}
        {{- end }}
    {{- end }}
    {{- if .Values.hub.enabled }}
        {{- $urls = append $urls (include "binderhub-service.hub.api-url" .) }}
    {{- end }}
    {{- compact $urls | uniq | toJson }}
{{- end }}

{{- /* The rules that open the host and port of a URL. Takes a list: the root context and the URL. */}}
{{- define "binderhub-service.binderhub-egress.url-rules" -}}
{{- $root := first . }}
{{- $url := last . }}
{{- if not (contains "://" $url) }}
    {{- $url = printf "http://%s" $url }}
{{- end }}
{{- $authority := regexReplaceAll "^[^@/]*@" (regexFind "[^/?#]+" (splitList "://" $url | last)) "" }}
{{- $port := regexFind ":[0-9]+$" $authority | trimPrefix ":" | default (hasPrefix "https://" $url | ternary "443" "80") }}
{{- $host := regexReplaceAll ":[0-9]+$" $authority "" | trimPrefix "[" | trimSuffix "]" | trimSuffix "." | lower }}
{{- $labels := splitList "." $host }}
{{- if regexMatch "^[0-9.]+$|:" $host }}
- ports:
    - port: {{ $port }}
  to:
    - ipBlock:
        cidr: {{ printf "%s/%s" $host (contains ":" $host | ternary "128" "32") | quote }}
{{- else if regexMatch "(^|[.])(docker[.]io|ghcr[.]io|quay[.]io|gcr[.]io|pkg[.]dev)$" $host }}
{{- /* Public, so already open. */}}
{{- else if and (ne $host "hub") (regexMatch "^[a-z0-9-]+([.][a-z0-9-]+)*$" $host) }}
{{- $service := or (lt (len $labels) 3) (eq (index $labels 2) "svc") }}
{{- if $service }}
# A Service has pods at ports of their own.
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ gt (len $labels) 1 | ternary (index (append $labels "") 1) $root.Release.Namespace | quote }}
      {{- if eq (first $labels) "hub" }}
      podSelector:
        matchLabels:
          app: jupyterhub
          component: hub
      {{- end }}
{{- end }}
{{- if and (gt (len $labels) 1) (not (and $service (gt (len $labels) 2))) }}
- ports:
    - port: {{ $port }}
  to:
    {{- include "binderhub-service.network-policy.private-peers" $root | trim | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "binderhub-service.binderhub-egress.rules" -}}
{{- $policy := .Values.networkPolicy }}
- to:
    {{- include "binderhub-service.network-policy.internet-peers" . | trim | nindent 4 }}
{{ include "binderhub-service.network-policy.dns-rule" (list . true) | trim }}
# The Kubernetes API, at an address that no value knows and that may change; kubernetesApi narrows it.
- ports:
    {{- range $policy.binderhub.kubernetesApi.ports }}
    - port: {{ . }}
    {{- end }}
  to:
    {{- range $policy.binderhub.kubernetesApi.cidrs }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- else }}
    {{- include "binderhub-service.network-policy.peers-except" (append (include "binderhub-service.network-policy.metadata-cidrs" . | fromJsonArray) "64:ff9b::/96") | trim | nindent 4 }}
    {{- end }}
# The hub of a Zero to JupyterHub in the release's namespace.
- to:
    - podSelector:
        matchLabels:
          app: jupyterhub
          component: hub
{{- range include "binderhub-service.binderhub-egress.urls" . | fromJsonArray }}
{{- with include "binderhub-service.binderhub-egress.url-rules" (list $ .) | trim }}
{{ . }}
{{- end }}
{{- end }}
{{- with include "binderhub-service.outbound-proxy.egress-rule" . | trim }}
{{ . }}
{{- end }}
{{- if $policy.egressAllowRules.privateIPs }}
- to:
    {{- include "binderhub-service.network-policy.private-peers" . | trim | nindent 4 }}
{{- end }}
{{- if $policy.egressAllowRules.cloudMetadataServer }}
{{ include "binderhub-service.network-policy.metadata-rule" . | trim }}
{{- end }}
{{- with $policy.binderhub.egress }}
{{ . | toYaml }}
{{- end }}
{{- end }}

{{- /* The clients of BinderHub that a rule admits, as peers. */}}
{{- define "binderhub-service.binderhub-ingress.peers" -}}
{{- $access := dict "hub.jupyter.org/network-access-binderhub" "true" }}
{{- $anyNamespace := eq .Values.networkPolicy.binderhub.interNamespaceAccessLabels "accept" }}
{{- /* JupyterHub's proxy forwards requests, and its hub checks that the service answers. */}}
{{- range list $access (dict "app" "jupyterhub" "component" "proxy") (dict "app" "jupyterhub" "component" "hub") }}
- podSelector:
    matchLabels:
      {{- . | toYaml | nindent 6 }}
  {{- if $anyNamespace }}
  namespaceSelector: {}
  {{- end }}
{{- end }}
{{- if $anyNamespace }}
- namespaceSelector:
    matchLabels:
      {{- $access | toYaml | nindent 6 }}
{{- end }}
{{- end }}
