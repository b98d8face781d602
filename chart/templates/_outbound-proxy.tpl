{{- /* The HTTP proxy of `outboundProxy`: who uses it, what is reached without it, and the network rules for it. */}}

{{- /* Hosts that are reached without the proxy, as a JSON list. */}}
{{- define "binderhub-service.outbound-proxy.no-proxy" -}}
    {{- $hosts := list "localhost" "127.0.0.1" "::1" ".svc" ".cluster.local" }}
    {{- /* Pods, Services and nodes by their addresses. Not every program reads ranges. */}}
    {{- $hosts = concat $hosts (include "binderhub-service.network-policy.private-ipv4-cidrs" . | fromJsonArray) }}
    {{- $hosts = append $hosts "169.254.0.0/16" }}
    {{- if .Values.hub.enabled }}
        {{- /* Usually the bare name of a Service. */}}
        {{- $hosts = append $hosts (get (include "binderhub-service.hub.api-url" . | urlParse) "host" | regexFind "^(\\[.*\\]|[^:]*)") }}
    {{- end }}
    {{- concat $hosts .Values.outboundProxy.noProxy | uniq | toJson }}
{{- end }}

{{- /*
  The variables of a container that uses the proxy; empty without one. curl reads http_proxy only in lower case, and all
  other programs read both. Takes a list: the root context, and further hosts that are reached without the proxy.
*/}}
{{- define "binderhub-service.outbound-proxy.env" -}}
{{- $root := first . }}
{{- with $root.Values.outboundProxy.url }}
- name: http_proxy
  value: {{ . | quote }}
- name: https_proxy
  value: {{ . | quote }}
- name: no_proxy
  value: {{ concat (include "binderhub-service.outbound-proxy.no-proxy" $root | fromJsonArray) (last $) | join "," | quote }}
{{- end }}
{{- end }}

{{- /* The host of the proxy, without its port. */}}
{{- define "binderhub-service.outbound-proxy.host" -}}
    {{- get (urlParse .Values.outboundProxy.url) "host" | regexFind "^(\\[.*\\]|[^:]*)" | trimPrefix "[" | trimSuffix "]" }}
{{- end }}

{{- define "binderhub-service.outbound-proxy.port" -}}
    {{- $authority := get (urlParse .Values.outboundProxy.url) "host" }}
    {{- regexFind ":[0-9]+$" $authority | trimPrefix ":" | default (hasPrefix "https://" .Values.outboundProxy.url | ternary "443" "80") }}
{{- end }}

{{- /* Whether the URL has an IP address, which a network policy can name: "true" or empty. */}}
{{- define "binderhub-service.outbound-proxy.has-address" -}}
    {{- if regexMatch "^[0-9.]+$|:" (include "binderhub-service.outbound-proxy.host" .) }}true{{ end }}
{{- end }}

{{- /* The egress rule that opens the proxy; empty without one. */}}
{{- define "binderhub-service.outbound-proxy.egress-rule" -}}
{{- if .Values.outboundProxy.url }}
{{- $host := include "binderhub-service.outbound-proxy.host" . }}
{{- if .Values.outboundProxy.peers }}
- to:
    {{- .Values.outboundProxy.peers | toYaml | nindent 4 }}
{{- else if include "binderhub-service.outbound-proxy.has-address" . }}
- ports:
    - port: {{ include "binderhub-service.outbound-proxy.port" . }}
  to:
    - ipBlock:
        cidr: {{ printf "%s/%s" $host (contains ":" $host | ternary "128" "32") | quote }}
{{- end }}
{{- end }}
{{- end }}
