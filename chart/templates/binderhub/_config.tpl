{{- /*
  config.BinderHub.base_url without the trailing slash: "" or "/services/binder". With a hub, the default "/" becomes
  the path of the service at the hub's proxy.
*/}}
{{- define "binderhub-service.base-url" -}}
    {{- $own := .Values.config.BinderHub.base_url | default "/" | trimSuffix "/" }}
    {{- if and .Values.hub.enabled (not $own) }}
        {{- $own = include "binderhub-service.hub.service-prefix" . | trimSuffix "/" }}
    {{- end }}
    {{- $own }}
{{- end }}

{{- /* The path of the service at the hub's proxy, with a trailing slash. */}}
{{- define "binderhub-service.hub.service-prefix" -}}
    {{- $prefix := .Values.hub.servicePrefix | default (printf "%s/services/%s" (trimSuffix "/" .Values.hub.baseUrl) .Values.hub.serviceName) }}
    {{- printf "%s/" ($prefix | trimSuffix "/") }}
{{- end }}

{{- define "binderhub-service.hub.api-url" -}}
    {{- tpl (.Values.hub.apiUrl | default "") . | default (printf "http://hub:8081%s/hub/api" (trimSuffix "/" .Values.hub.baseUrl)) }}
{{- end }}

{{- /* Whether only users of a JupyterHub may build: "true" or empty. */}}
{{- define "binderhub-service.auth-enabled" -}}
    {{- if or .Values.hub.enabled .Values.config.BinderHub.auth_enabled }}true{{ end }}
{{- end }}

{{- /* `config` with what `hub` implies, as YAML. */}}
{{- define "binderhub-service.config" -}}
    {{- $config := deepCopy .Values.config }}
    {{- if .Values.hub.enabled }}
        {{- $_ := set $config.BinderHub "base_url" (printf "%s/" (include "binderhub-service.base-url" .)) }}
        {{- $_ := set $config.BinderHub "auth_enabled" true }}
    {{- end }}
    {{- $config | toYaml }}
{{- end }}

{{- /*
  The environment variables that jupyterhub/services/auth.py reads. With the service's name it requires the scope
  access:services!service=<name>; without it, any token of the hub is accepted.
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
{{- /* The host of the hub's login page, if it is not BinderHub's own. */}}
- name: JUPYTERHUB_HOST
  value: {{ regexFind "^[a-z]+://[^/]+" . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* `extraEnv` with its templates rendered; empty if there is none. */}}
{{- define "binderhub-service.extra-env" -}}
    {{- with include "binderhub-service.env" .Values.extraEnv }}
        {{- tpl . $ }}
    {{- end }}
{{- end }}

{{- /* What files/binderhub_service/registry/login.py reads, as YAML; empty if registry.server is not set. */}}
{{- define "binderhub-service.binderhub.registry" -}}
    {{- $registry := include "binderhub-service.registry" . | fromJson }}
    {{- if and $registry (include "binderhub-service.registry.pushes" .) }}
        {{- if .Values.registry.username }}
            {{- $login := dict "username" .Values.registry.username "password" (include "binderhub-service.registry.password" .) }}
            {{- $registry = merge $registry $login }}
        {{- end }}
        {{- with .Values.registry.existingSecret }}
            {{- $_ := set $registry "existingSecret" . }}
        {{- end }}
        {{- with .Values.registry.tokenHosts }}
            {{- $_ := set $registry "tokenHosts" . }}
        {{- end }}
        {{- $registry | toYaml }}
    {{- end }}
{{- end }}

{{- /* The certificate authorities that BinderHub trusts beside those of its image: it connects to the registry, too. */}}
{{- define "binderhub-service.binderhub.certificate-authorities" -}}
    {{- list (trim .Values.registry.certificateAuthority) (include "binderhub-service.certificate-authorities" .) | compact | join "\n" }}
{{- end }}
