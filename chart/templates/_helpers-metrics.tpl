{{- /*
  Annotations of the Service, as YAML. Prometheus' usual configuration asks each pod behind a Service that says so; its
  port is then the pod's.
*/}}
{{- define "binderhub-service.service-annotations" -}}
    {{- $annotations := dict }}
    {{- if .Values.metrics.scrape }}
        {{- $annotations = dict
            "prometheus.io/scrape" "true"
            "prometheus.io/path" (printf "%s/metrics" (include "binderhub-service.base-url" .))
            "prometheus.io/port" (toString .Values.config.BinderHub.port)
        }}
    {{- end }}
    {{- with mergeOverwrite $annotations (.Values.service.annotations | default dict) }}
        {{- . | toYaml }}
    {{- end }}
{{- end }}
