{{- /* Path below which the hub's proxy has the service, with a slash at its end. */}}
{{- define "binderhub-service.hub.service-prefix" -}}
    {{- $prefix := .Values.hub.servicePrefix | default (printf "%s/services/%s" (trimSuffix "/" .Values.hub.baseUrl) .Values.hub.serviceName) }}
    {{- printf "%s/" ($prefix | trimSuffix "/") }}
{{- end }}

{{- define "binderhub-service.hub.api-url" -}}
    {{- tpl (.Values.hub.apiUrl | default "") . | default (printf "http://hub:8081%s/hub/api" (trimSuffix "/" .Values.hub.baseUrl)) }}
{{- end }}

{{- /* Whether only people whom a JupyterHub knows may build: "true", or nothing. */}}
{{- define "binderhub-service.auth-enabled" -}}
    {{- if or .Values.hub.enabled .Values.config.BinderHub.auth_enabled }}true{{ end }}
{{- end }}

{{- /* `config`, with what follows from `hub`, as YAML. */}}
{{- define "binderhub-service.config" -}}
    {{- $config := deepCopy .Values.config }}
    {{- if .Values.hub.enabled }}
        {{- $_ := set $config.BinderHub "base_url" (printf "%s/" (include "binderhub-service.base-url" .)) }}
        {{- $_ := set $config.BinderHub "auth_enabled" true }}
    {{- end }}
    {{- $config | toYaml }}
{{- end }}

{{- /*
  What jupyterhub/services/auth.py reads from its environment, as a list for a container. The service's name is what
  makes it ask for the scope access:services!service=<name>; without it any token of the hub will do.
*/}}
{{- define "binderhub-service.hub.env" -}}
{{- if .Values.hub.enabled }}
{{- $prefix := printf "%s/" (include "binderhub-service.base-url" .) }}
- name: JUPYTERHUB_SERVICE_NAME
  value: {{ .Values.hub.serviceName | quote }}
- name: JUPYTERHUB_API_URL
  value: {{ include "binderhub-service.hub.api-url" . | quote }}
- name: JUPYTERHUB_API_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .Values.hub.apiTokenSecret.name | quote }}
      key: {{ .Values.hub.apiTokenSecret.key | default (printf "hub.services.%s.apiToken" .Values.hub.serviceName) | quote }}
- name: JUPYTERHUB_BASE_URL
  value: {{ printf "%s/" (trimSuffix "/" .Values.hub.baseUrl) | quote }}
- name: JUPYTERHUB_SERVICE_PREFIX
  value: {{ $prefix | quote }}
- name: JUPYTERHUB_CLIENT_ID
  value: {{ printf "service-%s" .Values.hub.serviceName | quote }}
- name: JUPYTERHUB_OAUTH_CALLBACK_URL
  value: {{ .Values.hub.oauthCallbackUrl | default (printf "%soauth_callback" $prefix) | quote }}
{{- with .Values.config.BinderHub.hub_url }}
{{- /* Where a browser finds the hub's login, if not on BinderHub's own host. */}}
- name: JUPYTERHUB_HOST
  value: {{ regexFind "^[a-z]+://[^/]+" . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "binderhub-service.hub.guards" -}}
    {{- $binderhub := .Values.config.BinderHub }}
    {{- if .Values.hub.enabled }}
        {{- if eq (toString $binderhub.auth_enabled) "false" }}
            {{- fail "hub.enabled is true, but config.BinderHub.auth_enabled is false, with which BinderHub asks the hub for nothing. Leave config.BinderHub.auth_enabled out, or set hub.enabled to false." }}
        {{- end }}
        {{- $own := $binderhub.base_url | default "/" | trimSuffix "/" }}
        {{- if and .Values.hub.servicePrefix $own (ne $own (trimSuffix "/" .Values.hub.servicePrefix)) }}
            {{- printf "config.BinderHub.base_url is %s, and hub.servicePrefix is %s. Leave one of them out: the other follows." $binderhub.base_url .Values.hub.servicePrefix | fail }}
        {{- end }}
        {{- $ours := include "binderhub-service.hub.env" . | fromYamlArray }}
        {{- $theirs := include "binderhub-service.extra-env" . | fromYamlArray }}
        {{- range $ours }}
            {{- $name := .name }}
            {{- range $theirs }}
                {{- if eq $name (toString .name) }}
                    {{- printf "extraEnv sets %s, which hub.enabled sets too. Leave it out of extraEnv, and say what differs in hub." $name | fail }}
                {{- end }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}
