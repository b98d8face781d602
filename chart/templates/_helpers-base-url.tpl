{{- /*
  config.BinderHub.base_url without the slash at its end: "" or "/services/binder". With a hub, "/", which is the
  default, stands for where the hub's proxy has the service.
*/}}
{{- define "binderhub-service.base-url" -}}
    {{- $own := .Values.config.BinderHub.base_url | default "/" | trimSuffix "/" }}
    {{- if and .Values.hub.enabled (not $own) }}
        {{- $own = include "binderhub-service.hub.service-prefix" . | trimSuffix "/" }}
    {{- end }}
    {{- $own }}
{{- end }}
