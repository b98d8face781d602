{{- /*
  Where BinderHub connects to. Visitors name the hosts of repositories, so private addresses and a cloud's metadata are
  closed. What the values configure stays reachable by construction: an address or a Service in the cluster is opened
  itself, and of a host whose address only DNS knows, its port is opened on private addresses.
*/}}

{{- /* URLs that BinderHub is configured with, beside the hub's: registries, and proxies of its environment. A JSON list. */}}
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

{{- /* One rule for a host and a port, which are taken from a URL. Takes a list: the root, and the URL. */}}
{{- define "binderhub-service.binderhub-egress.to-url" -}}
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
{{- /* Public, so open already. */}}
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
    {{- include "binderhub-service.network-policy.private" $root | trim | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "binderhub-service.binderhub-egress.rules" -}}
{{- $policy := .Values.networkPolicy }}
- to:
    {{- include "binderhub-service.network-policy.internet" . | trim | nindent 4 }}
{{ include "binderhub-service.network-policy.name-servers" (list . true) | trim }}
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
    {{- include "binderhub-service.network-policy.all-but" (append (include "binderhub-service.network-policy.metadata" . | fromJsonArray) "64:ff9b::/96") | trim | nindent 4 }}
    {{- end }}
# The hub of a Zero to JupyterHub in the release's namespace.
- to:
    - podSelector:
        matchLabels:
          app: jupyterhub
          component: hub
{{- range include "binderhub-service.binderhub-egress.urls" . | fromJsonArray }}
{{- with include "binderhub-service.binderhub-egress.to-url" (list $ .) | trim }}
{{ . }}
{{- end }}
{{- end }}
{{- if $policy.egressAllowRules.privateIPs }}
- to:
    {{- include "binderhub-service.network-policy.private" . | trim | nindent 4 }}
{{- end }}
{{- if $policy.egressAllowRules.cloudMetadataServer }}
{{ include "binderhub-service.network-policy.to-metadata" . | trim }}
{{- end }}
{{- with $policy.binderhub.egress }}
{{ . | toYaml }}
{{- end }}
{{- end }}
