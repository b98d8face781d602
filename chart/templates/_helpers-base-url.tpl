{{- /* config.BinderHub.base_url without the slash at its end: "" or "/services/binder" */}}
{{- define "binderhub-service.base-url" -}}
    {{- .Values.config.BinderHub.base_url | default "/" | trimSuffix "/" }}
{{- end }}
